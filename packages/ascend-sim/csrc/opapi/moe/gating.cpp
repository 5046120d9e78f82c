// SPDX-License-Identifier: Apache-2.0
//
// Gating of a mixture of experts: which experts a token goes to, and with which weights. Scores are
// in float32; of equal ones the first expert wins.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"

namespace ascend_sim::opapi {
namespace {

struct Chosen {
  Tensor scores, experts;
};

Chosen LargestK(const Tensor& scores, int64_t k) {
  const auto [sorted, order] = at::sort(scores, /*stable=*/true, /*dim=*/-1, /*descending=*/true);
  return {sorted.narrow(-1, 0, k), order.narrow(-1, 0, k)};
}

// Inactive rows are sent to an expert that does not exist: the number of experts.
void StoreExperts(Tensor& out, const Tensor& experts, const OptTensor& finished, int64_t count) {
  out.copy_(experts);
  if (finished) out.masked_fill_(finished->unsqueeze(-1), count);
}

void CheckSoftmaxGate(const Tensor& x, const OptTensor& finished, int64_t k) {
  Require(x.dim() == 2 || x.dim() == 3, "x must have 2 or 3 dimensions");
  Require(k > 0 && k <= x.size(-1), "k must be from 1 to the number of experts, ", x.size(-1),
          ", got ", k);
  Limit(k <= 1024, "k must be at most 1024, got ", k);  // npu_moe_gating_top_k_softmax.md
  Require(!finished || finished->sizes() == x.sizes().slice(0, x.dim() - 1),
          "finished must have x's shape without its last dimension");
}

// The score of a group: its largest, or the sum of its two largest.
Tensor GroupScores(const Tensor& grouped, int64_t mode) {
  return mode == 0 ? grouped.amax(-1) : std::get<0>(at::topk(grouped, 2, -1)).sum(-1);
}

// Excludes the experts outside the best `k_group` groups.
Tensor WithinBestGroups(const Tensor& scores, int64_t groups, int64_t k_group, int64_t mode) {
  const auto grouped = scores.unflatten(-1, {groups, scores.size(-1) / groups});
  const auto best = LargestK(GroupScores(grouped, mode), k_group).experts;
  const auto kept = at::zeros({scores.size(0), groups}, at::kBool).scatter_(1, best, true);
  return grouped.masked_fill(kept.logical_not().unsqueeze(-1), -INFINITY).flatten(1);
}

}  // namespace

// softmax, then the k largest. rowIdx numbers the chosen places column by column, which is what
// aclnnMoeInitRouting takes.
ACLNN_PLANNED_OP(aclnnMoeGatingTopKSoftmax, (const Tensor& x, const OptTensor& finished, int64_t k,
                                             Tensor& y, Tensor& expert_idx, Tensor& row_idx)) {
  CheckSoftmaxGate(x, finished, k);
  return [=]() mutable {
    const auto chosen = LargestK(at::softmax(x, -1, at::kFloat), k);
    y.copy_(chosen.scores);
    StoreExperts(expert_idx, chosen.experts, finished, x.size(-1));
    const auto rows = x.numel() / x.size(-1);
    row_idx.copy_(at::arange(rows * k, at::kInt).view({k, rows}).t().reshape(row_idx.sizes()));
  };
}

// With `renorm` the k largest first, then softmax over them.
ACLNN_PLANNED_OP(aclnnMoeGatingTopKSoftmaxV2,
                 (const Tensor& x, const OptTensor& finished, int64_t k, int64_t renorm,
                  bool softmax_wanted, Tensor& y, Tensor& expert_idx, Tensor& softmax_out)) {
  CheckSoftmaxGate(x, finished, k);
  Require(renorm == 0 || renorm == 1, "renorm must be 0 or 1, got ", renorm);
  return [=]() mutable {
    const auto scores = renorm == 1 ? x.to(at::kFloat) : at::softmax(x, -1, at::kFloat);
    const auto chosen = LargestK(scores, k);
    y.copy_(renorm == 1 ? at::softmax(chosen.scores, -1) : chosen.scores);
    StoreExperts(expert_idx, chosen.experts, finished, x.size(-1));
    if (softmax_wanted) softmax_out.copy_(scores);
  };
}

// Grouped top-k: experts are chosen by score + bias, first whole groups, then experts of these; the
// weights are the scores without bias.
ACLNN_PLANNED_OP(aclnnMoeGatingTopK,
                 (const Tensor& x, const OptTensor& bias, int64_t k, int64_t k_group,
                  int64_t group_count, int64_t group_select_mode, int64_t renorm, int64_t norm_type,
                  bool norm_wanted, double routed_scaling_factor, double eps, Tensor& y,
                  Tensor& expert_idx, Tensor& norm_out)) {
  constexpr int64_t kMaxExperts = 2048;  // this and the limits below: npu_moe_gating_top_k.md
  const auto experts = x.size(-1);
  Require(x.dim() == 2, "x must have 2 dimensions");
  Require(!bias || (bias->dim() == 1 && bias->size(0) == experts),
          "bias must have one element per expert");
  Require(renorm == 0, "renorm must be 0, got ", renorm);
  Require(norm_type == 0 || norm_type == 1, "normType must be 0 (softmax) or 1 (sigmoid), got ",
          norm_type);
  Require(group_select_mode == 0 || group_select_mode == 1, "groupSelectMode must be 0 or 1, got ",
          group_select_mode);
  Require(group_count > 0 && experts % group_count == 0, "groupCount ", group_count,
          " must divide the number of experts, ", experts);
  Require(k_group >= 1 && k_group <= group_count, "kGroup must be from 1 to groupCount, got ",
          k_group);
  const auto group_size = experts / group_count;
  Require(k >= 1 && k <= group_size * k_group, "k must be from 1 to the ", group_size * k_group,
          " experts of kGroup groups, got ", k);
  Require(group_select_mode == 0 || group_size >= 2,
          "groupSelectMode 1 takes groups of two experts or more");
  Limit(experts <= kMaxExperts, "x must have at most 2048 experts, got ", experts);
  Limit(group_size > 2, "a group must have more than 2 experts, got ", group_size);
  Limit((group_size + 31) / 32 * 32 * group_count <= kMaxExperts,
        "the experts of a group, aligned to 32, times groupCount must be at most 2048");
  return [=]() mutable {
    const auto scores =
        norm_type == 1 ? x.to(at::kFloat).sigmoid() : at::softmax(x, -1, at::kFloat);
    auto ranked = bias ? scores + *bias : scores;
    if (k_group < group_count) {
      ranked = WithinBestGroups(ranked, group_count, k_group, group_select_mode);
    }
    const auto chosen = LargestK(ranked, k).experts;
    auto weights = scores.gather(1, chosen);
    if (norm_type == 1) weights = weights / (weights.sum(-1, /*keepdim=*/true) + eps);
    y.copy_(weights * routed_scaling_factor);
    expert_idx.copy_(chosen);
    if (norm_wanted) norm_out.copy_(scores);
  };
}

// By x, of the weights that aclnnMoeGatingTopK gives: the chosen sigmoids over their sum.
ACLNN_PLANNED_OP(aclnnMoeGatingTopKBackward,
                 (const Tensor& scores, const Tensor& grad_y, const Tensor& expert_idx,
                  int64_t /*renorm: reserved*/, int64_t norm_type, double routed_scaling_factor,
                  double eps, Tensor& out)) {
  Require(scores.dim() == 2 && grad_y.dim() == 2 && scores.size(0) == grad_y.size(0),
          "xNorm and gradY must be [tokens, experts] and [tokens, k]");
  Require(expert_idx.sizes() == grad_y.sizes(), "expertIdx must have the shape of gradY, ",
          grad_y.sizes(), ", got ", expert_idx.sizes());
  Require(out.sizes() == scores.sizes(), "out must have the shape of xNorm, ", scores.sizes(),
          ", got ", out.sizes());
  Require(norm_type == 1, "normType must be 1 (sigmoid), got ", norm_type);
  // transformer/moe/moe_gating_top_k_backward/docs/aclnnMoeGatingTopKBackward.md
  const auto experts = scores.size(1), k = grad_y.size(1);
  Limit(2 <= experts && experts <= 2048, "xNorm must have 2 to 2048 experts, got ", experts);
  Limit(1 <= k && k <= experts, "gradY must have 1 to ", experts, " columns, got ", k);
  return [=]() mutable {
    const auto places = PlacesAmong(scores.size(1), expert_idx, "expertIdx");
    const auto grad = grad_y.to(at::kFloat) * routed_scaling_factor;
    const auto chosen = scores.gather(1, places);
    const auto sum = chosen.sum(-1, /*keepdim=*/true) + eps;
    const auto mean = (chosen / sum * grad).sum(-1, /*keepdim=*/true);
    const auto spread = at::zeros_like(scores).scatter_add_(1, places, (grad - mean) / sum);
    Store(out, scores * (1 - scores) * spread);
  };
}

}  // namespace ascend_sim::opapi
