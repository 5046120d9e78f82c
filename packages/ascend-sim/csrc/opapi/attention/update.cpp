// SPDX-License-Identifier: Apache-2.0
//
// Attention over parts of the keys, put together: each part's result weighs as much as its softmax
// summed up to.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/attention/call.h"

namespace ascend_sim::opapi {

// out = sum of out_i exp(lse_i - lse), where exp(lse) = sum of exp(lse_i)
// (npu_attention_update.md).
ACLNN_PLANNED_OP(aclnnAttentionUpdate, (const Tensors& lse, const Tensors& local_out,
                                        int64_t update_type, Tensor& out, OptTensor& lse_out)) {
  Require(!lse.empty() && lse.size() == local_out.size(),
          "lse and localOut must be lists of one length");
  Require(update_type == 0 || update_type == 1, "updateType must be 0 or 1, not ", update_type);
  Require(update_type == 0 || lse_out.has_value(), "lseOut must be given with updateType 1");
  for (size_t i = 0; i < lse.size(); ++i) {
    Require(lse[i].scalar_type() == at::kFloat && lse[i].sizes() == lse[0].sizes(),
            "lse must be float32 tensors of one shape");
    Require(local_out[i].dim() == 2 && local_out[i].sizes() == out.sizes() &&
                local_out[i].size(0) == lse[i].numel(),
            "localOut must be [rows, headDim], with one row per element of lse");
  }
  // npu_attention_update.md, the section of constraints.
  Limit(lse.size() <= 16, "lse must be a list of at most 16 tensors, not ", lse.size());
  Limit(out.size(1) % 8 == 0 && out.size(1) >= 8 && out.size(1) <= 512,
        "headDim must be a multiple of 8 up to 512, not ", out.size(1));
  return [=]() mutable {
    const auto parts = at::stack(lse);
    const auto total = at::logsumexp(parts, 0);
    const auto share = (parts - total).exp().flatten(1).unsqueeze(-1);
    Store(out, (at::stack(local_out).to(at::kFloat) * share).sum(0));
    if (update_type == 1) Store(*lse_out, total);
  };
}

// Two parts with the statistics of npu_fusion_attention: maxima and sums, each eight times.
ACLNN_PLANNED_OP(aclnnRingAttentionUpdateV2,
                 (const Tensor& prev_out, const Tensor& prev_max, const Tensor& prev_sum,
                  const Tensor& cur_out, const Tensor& cur_max, const Tensor& cur_sum,
                  const OptTensor& query_ends, const std::string& layout,
                  const std::string& softmax_layout, Tensor& out, Tensor& max, Tensor& sum)) {
  Require(layout == "SBH" || layout == "TND", "inputLayout must be SBH or TND, not ", layout);
  Require(layout == "SBH" || softmax_layout == "TND",
          "inputSoftmaxLayout must be TND with inputLayout TND (statistics by sequence are not "
          "supported by the simulator)");
  Require(layout == "SBH" || query_ends.has_value(), "actualSeqQlen must be given in layout TND");
  return [=]() mutable {
    const auto new_max = at::maximum(prev_max, cur_max);
    const auto prev_weight = prev_sum * (prev_max - new_max).exp();
    const auto cur_weight = cur_sum * (cur_max - new_max).exp();
    const auto new_sum = prev_weight + cur_weight;
    // A weight [tokens, batch, heads, 1] or [tokens, heads, 1] for an output's rows.
    const auto share = [&](const Tensor& weight) {
      const auto one = (weight / new_sum).narrow(-1, 0, 1);
      return layout == "SBH" ? one.permute({2, 0, 1, 3}) : one;
    };
    const auto rows = [&](const Tensor& t) {
      const auto values = t.to(at::kFloat);
      return layout == "SBH" ? values.unflatten(2, {max.size(1), -1}) : values;
    };
    const auto result = rows(prev_out) * share(prev_weight) + rows(cur_out) * share(cur_weight);
    Store(out, result.reshape(out.sizes()));
    Store(max, new_max);
    Store(sum, new_sum);
  };
}

}  // namespace ascend_sim::opapi
