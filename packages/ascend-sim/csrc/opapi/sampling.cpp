// SPDX-License-Identifier: Apache-2.0
//
// Fused operators of samplers.
#include "op.h"
#include "store.h"

namespace ascend_sim::opapi {

// Keeps the k largest logits of a row, then the smallest set of them with probability above p; the
// rest become -inf. Formula: npu_top_k_top_p's documentation (ascending stable sort; at least one
// element stays).
ACLNN_OP(aclnnApplyTopKTopP,
         (const Tensor& logits, const OptTensor& p, const OptTensor& k, Tensor& out)) {
  constexpr double kMasked = -std::numeric_limits<double>::infinity();
  auto [sorted, order] = at::sort(logits, /*stable=*/std::optional<bool>(true), /*dim=*/-1,
                                  /*descending=*/false);
  if (k.has_value()) {
    const auto position = (sorted.size(1) - k->to(at::kLong)).clamp(0, sorted.size(1) - 1);
    const auto threshold = sorted.gather(1, position.unsqueeze(1));
    sorted.masked_fill_(sorted < threshold, kMasked);
  }
  if (p.has_value()) {
    const auto probability = at::softmax(sorted, -1, at::kFloat);
    auto masked = at::cumsum(probability, -1) <= 1 - p->to(at::kFloat).unsqueeze(1);
    masked.select(1, -1).fill_(false);
    sorted.masked_fill_(masked, kMasked);
  }
  out.scatter_(-1, order, sorted);
}

}  // namespace ascend_sim::opapi
