// SPDX-License-Identifier: Apache-2.0
//
// The choice of experts of DeepSeek-V3: sigmoid, bias, best groups, best experts, normalized
// weights.
#include "atb/named.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using opapi::Limit;
using opapi::OptTensor;
using opapi::Require;

// The numbers of the k largest elements of every row; the lower number where they are equal.
Tensor Largest(const Tensor& scores, int64_t k) {
  return std::get<1>(scores.sort(/*stable=*/true, /*dim=*/-1, /*descending=*/true))
      .narrow(-1, 0, k);
}

}  // namespace

ATB_FUNCTION(AtbFusedAddTopkDiv,
             (const Tensor& x, const Tensor& bias, const OptTensor& mapping_num,
              const OptTensor& mapping_table, int64_t groups, int64_t group_topk, int64_t n,
              int64_t k, int activation, bool normalize, float scale, bool map_experts, Tensor& out,
              Tensor& indices)) {
  Require(!map_experts && !mapping_num && !mapping_table,
          "the mapping of experts (enable_expert_mapping) is not supported");
  Require(activation == 8, "activation_type must be activation_sigmoid");
  Require(x.dim() == 2 && bias.dim() == 1 && bias.size(0) == x.size(1),
          "x must be [tokens, experts] and add_num [experts]");
  const auto experts = x.size(1);
  // The constraints of torch_npu.atb.npu_fused_add_topk_div's documentation.
  Require(groups > 0 && experts % groups == 0,
          "the number of experts must be a multiple of "
          "group_num");
  Require(group_topk > 0 && group_topk <= groups, "group_topk must be between 1 and group_num");
  Require(n > 0 && n <= experts / groups, "n must be between 1 and the size of a group");
  Require(k > 0 && k <= experts, "k must be between 1 and the number of experts");
  Limit(experts <= groups * 32, "a group has at most 32 experts");
  Limit(experts < 32 || groups == 8, "group_num must be 8 with 32 experts or more");
  return [=]() mutable {
    const auto weights = at::sigmoid(x.to(at::kFloat));
    const auto scores = weights + bias.to(at::kFloat);
    const auto grouped = scores.unflatten(-1, {groups, -1});
    const auto best = Largest(std::get<0>(grouped.topk(n)).sum(-1), group_topk);
    const auto dropped = at::ones({x.size(0), groups}, at::kBool).scatter_(-1, best, false);
    const auto kept = grouped.masked_fill(dropped.unsqueeze(-1), -INFINITY).flatten(-2);
    const auto chosen = Largest(kept, k);
    auto result = weights.gather(-1, chosen);
    if (normalize) result = result / result.sum(-1, /*keepdim=*/true);
    out.copy_(result * scale);
    indices.copy_(chosen);
  };
}

}  // namespace ascend_sim::atb
