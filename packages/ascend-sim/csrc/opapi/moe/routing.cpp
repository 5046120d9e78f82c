// SPDX-License-Identifier: Apache-2.0
//
// Routing of a mixture of experts: the rows of the tokens put in the order of their experts, and
// the experts' results put back and added up. Sums are in float32 and rounded once.
#include <climits>

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/groups.h"
#include "opapi/numerics/quantize.h"

namespace ascend_sim::opapi {
namespace {

Tensor StableOrder(const Tensor& keys) {
  return std::get<1>(at::sort(keys, /*stable=*/true, /*dim=*/-1, /*descending=*/false));
}

// The permutation that undoes `order`.
Tensor Inverse(const Tensor& order) {
  return at::empty_like(order).scatter_(0, order, at::arange(order.size(0), order.options()));
}

void StoreHead(Tensor& out, const Tensor& head) { out.narrow(0, 0, head.size(0)).copy_(head); }

// --- aclnnMoeInitRoutingV3 -----------------------------------------------------------------------

enum QuantMode : int64_t { kNoQuant = -1, kStaticQuant = 0, kDynamicQuant = 1 };

struct Routing {
  Tensor x, expert_idx;
  OptTensor scale, offset;
  int64_t active_num, capacity, experts, drop_pad;
  int64_t tokens_num_type;
  bool tokens_num_wanted;
  int64_t quant_mode, first_expert, last_expert, row_idx_type;
  Tensor expanded_x, expanded_row_idx, tokens_num, expanded_scale;
};

void CheckRouting(const Routing& r) {
  Require(r.x.dim() == 2 && r.expert_idx.dim() == 2 && r.x.size(0) == r.expert_idx.size(0),
          "x must be [rows, H] and expertIdx [rows, k]");
  Require(r.expert_idx.scalar_type() == at::kInt, "expertIdx must be int32");
  Require(r.quant_mode >= kNoQuant && r.quant_mode <= kDynamicQuant, "quantMode ", r.quant_mode,
          " is not supported: -1, 0 and 1 are");
  Require(r.tokens_num_type >= kCumulative && r.tokens_num_type <= kPairs,
          "expertTokensNumType must be 0, 1 or 2, got ", r.tokens_num_type);
  Require(r.row_idx_type == 0 || r.row_idx_type == 1, "rowIdxType must be 0 or 1, got ",
          r.row_idx_type);
  Require(0 <= r.first_expert && r.first_expert < r.last_expert && r.last_expert <= r.experts,
          "activeExpertRange must lie within the ", r.experts, " experts");
  Require(r.active_num >= -1, "activeNum must be at least -1, got ", r.active_num);
  // npu_moe_init_routing_v2.md
  Limit(r.experts <= (r.tokens_num_type == kPairs ? 5120 : 10240), "expertNum must be at most ",
        r.tokens_num_type == kPairs ? 5120 : 10240, ", got ", r.experts);
  if (r.drop_pad == 1) {
    Require(r.first_expert == 0 && r.last_expert == r.experts,
            "activeExpertRange must be that of all experts with dropPadMode 1");
    Require(r.tokens_num_type == kCounts && r.row_idx_type == 0,
            "dropPadMode 1 takes expertTokensNumType 1 and rowIdxType 0");
    Require(r.capacity > 0 && r.capacity <= r.x.size(0),
            "expertCapacity must be from 1 to the number of rows, got ", r.capacity);
  } else {
    Require(r.drop_pad == 0, "dropPadMode must be 0 or 1, got ", r.drop_pad);
  }
  const auto one = [](const OptTensor& t) { return t && t->dim() == 1 && t->size(0) == 1; };
  if (r.quant_mode == kStaticQuant) {
    Require(one(r.scale) && one(r.offset), "scale and offset must have shape [1] with quantMode 0");
  } else {
    Require(!r.offset, "offset is not taken without quantMode 0");
  }
  if (r.quant_mode == kNoQuant && r.scale) {
    Require(r.scale->dim() == 1 && r.scale->size(0) == r.x.size(0),
            "scale must have shape [rows] without quantization");
  }
  if (r.quant_mode == kDynamicQuant && r.scale) {
    Require(r.scale->dim() == 2 && r.scale->size(1) == r.x.size(1) &&
                (r.scale->size(0) == 1 || r.scale->size(0) == r.last_expert - r.first_expert),
            "scale must have shape [1, H] or [experts in range, H] with quantMode 1");
  }
}

void StoreTokensNum(const Routing& r, const Tensor& counts) {
  auto out = r.tokens_num;
  if (r.tokens_num_type != kPairs) {
    Store(out, r.tokens_num_type == kCumulative ? counts.cumsum(0) : counts);
    return;
  }
  const auto used = counts.nonzero().squeeze(-1);
  StoreHead(out, at::stack({used + r.first_expert, counts.index({used})}, 1));
  // A pair of zeros ends the list.
  if (used.size(0) < out.size(0)) out.select(0, used.size(0)).zero_();
}

// Writes the rows `source` of x to the rows `target` of the outputs. `experts` are those of the
// rows, from the first active one.
void StoreRows(const Routing& r, const Tensor& source, const Tensor& target,
               const Tensor& experts) {
  auto expanded_x = r.expanded_x.flatten(0, -2);
  auto expanded_scale = r.expanded_scale;
  auto rows = r.x.index_select(0, source);
  switch (r.quant_mode) {
    case kNoQuant:
      if (r.scale) expanded_scale.index_copy_(0, target, r.scale->index_select(0, source));
      break;
    case kStaticQuant:
      rows = RoundTo(rows.to(at::kFloat) * *r.scale + *r.offset, at::kChar);
      break;
    case kDynamicQuant: {
      rows = rows.to(at::kFloat);
      if (r.scale) rows *= r.scale->size(0) == 1 ? *r.scale : r.scale->index_select(0, experts);
      const auto quantized = QuantizeRows(rows);
      rows = quantized.values;
      expanded_scale.index_copy_(0, target, quantized.scale);
      break;
    }
  }
  expanded_x.index_copy_(0, target, rows);
}

void Route(const Routing& r) {
  const auto experts = r.expert_idx.reshape(-1).to(at::kLong);
  const auto active = (experts >= r.first_expert).logical_and_(experts < r.last_expert);
  const auto count = active.sum().item<int64_t>();
  // Places in expert_idx, those of active experts first, by expert.
  const auto order =
      StableOrder(experts.masked_fill(active.logical_not(), LONG_MAX)).narrow(0, 0, count);
  const auto sorted = experts.index_select(0, order) - r.first_expert;
  const auto counts = at::bincount(sorted, {}, r.last_expert - r.first_expert);
  if (r.tokens_num_wanted) StoreTokensNum(r, counts);

  auto places = at::arange(count);
  auto kept = order, kept_experts = sorted;
  if (r.drop_pad == 1) {
    const auto rank = places - (counts.cumsum(0) - counts).index_select(0, sorted);
    const auto fits = (rank < r.capacity).nonzero().squeeze(-1);
    places = (sorted * r.capacity + rank).index_select(0, fits);
    kept = order.index_select(0, fits);
    kept_experts = sorted.index_select(0, fits);
    const_cast<Tensor&>(r.expanded_x).zero_();
  }
  auto row_idx = r.expanded_row_idx;
  if (r.row_idx_type == 1) {
    StoreHead(row_idx, kept);
  } else {
    row_idx.fill_(-1).index_copy_(0, kept, places.to(at::kInt));
  }
  const auto rows =
      r.drop_pad == 0 && r.active_num > 0 ? std::min(count, r.active_num) : kept.size(0);
  const auto k = r.expert_idx.size(1);
  StoreRows(r, kept.narrow(0, 0, rows).div(k, "floor"), places.narrow(0, 0, rows),
            kept_experts.narrow(0, 0, rows));
}

// --- the way back --------------------------------------------------------------------------------

// The rows of `source` at `places`, in float32; zeros where a place is -1 or beyond the rows: a
// dropped row.
Tensor RowsOrZeros(const Tensor& source, const Tensor& places) {
  const auto dropped = (places < 0).logical_or_(places >= source.size(0));
  if (source.size(0) == 0) return at::zeros({places.size(0), source.size(1)}, at::kFloat);
  return source.index_select(0, places.masked_fill(dropped, 0))
      .to(at::kFloat)
      .masked_fill_(dropped.unsqueeze(-1), 0);
}

}  // namespace

// rowIdx numbers the places of expertIdx column by column, as aclnnMoeGatingTopKSoftmax gives them.
ACLNN_PLANNED_OP(aclnnMoeInitRouting,
                 (const Tensor& x, const Tensor& row_idx, const Tensor& expert_idx,
                  int64_t active_num, Tensor& expanded_x, Tensor& expanded_row_idx,
                  Tensor& expanded_expert_idx)) {
  Require(x.dim() == 2 && expert_idx.dim() == 2 && row_idx.sizes() == expert_idx.sizes() &&
              expert_idx.size(0) == x.size(0),
          "x must be [rows, H], rowIdx and expertIdx [rows, k]");
  // npu_moe_init_routing.md
  Limit(x.numel() < (1 << 24), "x must have less than 2^24 elements, got ", x.numel());
  return [=]() mutable {
    const auto experts = expert_idx.reshape(-1);
    const auto order = StableOrder(experts);
    const auto source = row_idx.reshape(-1).to(at::kLong).index_select(0, order);
    expanded_expert_idx.copy_(experts.index_select(0, order));
    expanded_row_idx.copy_(Inverse(source));
    const auto rows = std::min(active_num, x.size(0)) * expert_idx.size(1);
    expanded_x.copy_(x.index_select(0, source.narrow(0, 0, rows).remainder(x.size(0))));
  };
}

ACLNN_PLANNED_OP(aclnnMoeInitRoutingV3,
                 (const Tensor& x, const Tensor& expert_idx, const OptTensor& scale,
                  const OptTensor& offset, int64_t active_num, int64_t expert_capacity,
                  int64_t expert_num, int64_t drop_pad_mode, int64_t expert_tokens_num_type,
                  bool expert_tokens_num_flag, int64_t quant_mode, const OptInts& active_range,
                  int64_t row_idx_type, Tensor& expanded_x, Tensor& expanded_row_idx,
                  Tensor& expert_tokens_num, Tensor& expanded_scale)) {
  const bool all = !active_range || active_range->empty();
  Require(all || active_range->size() == 2, "activeExpertRange must have 2 elements");
  const Routing routing{.x = x,
                        .expert_idx = expert_idx,
                        .scale = scale,
                        .offset = offset,
                        .active_num = active_num,
                        .capacity = expert_capacity,
                        .experts = expert_num,
                        .drop_pad = drop_pad_mode,
                        .tokens_num_type = expert_tokens_num_type,
                        .tokens_num_wanted = expert_tokens_num_flag,
                        .quant_mode = quant_mode,
                        .first_expert = all ? 0 : active_range->front(),
                        .last_expert = all ? expert_num : active_range->back(),
                        .row_idx_type = row_idx_type,
                        .expanded_x = expanded_x,
                        .expanded_row_idx = expanded_row_idx,
                        .tokens_num = expert_tokens_num,
                        .expanded_scale = expanded_scale};
  CheckRouting(routing);
  return [routing] { Route(routing); };
}

// The second versions, with counts of the rows of every expert (countMode 2) or where they end (1)
// or, with dropPadMode 1, of those before any were dropped.
static Routing SecondVersion(const Tensor& x, const Tensor& expert_idx, int64_t active_num,
                             int64_t expert_capacity, int64_t expert_num, int64_t drop_pad_mode,
                             int64_t count_mode, bool before_capacity, Tensor& expanded_x,
                             Tensor& expanded_row_idx, const OptTensor& counts,
                             const OptTensor& counts_before_capacity) {
  Require(count_mode >= 0 && count_mode <= 2,
          "expertTokensCountOrCumsumFlag must be 0, 1 or 2, got ", count_mode);
  const bool drops = drop_pad_mode == 1;
  const auto wanted = drops ? (before_capacity ? counts_before_capacity : OptTensor())
                            : (count_mode > 0 ? counts : OptTensor());
  return {.x = x,
          .expert_idx = expert_idx,
          .scale = {},
          .offset = {},
          .active_num = active_num,
          .capacity = expert_capacity,
          .experts = expert_num,
          .drop_pad = drop_pad_mode,
          .tokens_num_type = drops || count_mode == 2 ? kCounts : kCumulative,
          .tokens_num_wanted = wanted.has_value(),
          .quant_mode = kNoQuant,
          .first_expert = 0,
          .last_expert = expert_num,
          .row_idx_type = 0,
          .expanded_x = expanded_x,
          .expanded_row_idx = expanded_row_idx,
          .tokens_num = wanted.value_or(Tensor()),
          .expanded_scale = {}};
}
ACLNN_PLANNED_OP(aclnnMoeInitRoutingV2,
                 (const Tensor& x, const Tensor& expert_idx, int64_t active_num,
                  int64_t expert_capacity, int64_t expert_num, int64_t drop_pad_mode,
                  int64_t count_mode, bool before_capacity, Tensor& expanded_x,
                  Tensor& expanded_row_idx, const OptTensor& counts,
                  const OptTensor& counts_before_capacity)) {
  const auto routing = SecondVersion(x, expert_idx, active_num, expert_capacity, expert_num,
                                     drop_pad_mode, count_mode, before_capacity, expanded_x,
                                     expanded_row_idx, counts, counts_before_capacity);
  CheckRouting(routing);
  return [routing] { Route(routing); };
}
ACLNN_PLANNED_OP(aclnnMoeInitRoutingQuantV2,
                 (const Tensor& x, const Tensor& expert_idx, const OptTensor& scale,
                  const OptTensor& offset, int64_t active_num, int64_t expert_capacity,
                  int64_t expert_num, int64_t drop_pad_mode, int64_t count_mode,
                  bool before_capacity, int64_t quant_mode, Tensor& expanded_x,
                  Tensor& expanded_row_idx, const OptTensor& counts,
                  const OptTensor& counts_before_capacity, const OptTensor& expanded_scale)) {
  Require(quant_mode == kStaticQuant || quant_mode == kDynamicQuant,
          "quantMode must be 0 or 1, got ", quant_mode);
  Require(quant_mode == kStaticQuant || expanded_scale,
          "dynamicQuantScaleOut must be given with quantMode 1");
  auto routing = SecondVersion(x, expert_idx, active_num, expert_capacity, expert_num,
                               drop_pad_mode, count_mode, before_capacity, expanded_x,
                               expanded_row_idx, counts, counts_before_capacity);
  routing.scale = scale;
  routing.offset = offset;
  routing.quant_mode = quant_mode;
  routing.expanded_scale = expanded_scale.value_or(Tensor());
  CheckRouting(routing);
  return [routing] { Route(routing); };
}

// Where the rows of every expert end.
ACLNN_PLANNED_OP(aclnnMoeComputeExpertTokens,
                 (const Tensor& sorted_experts, int64_t num_experts, Tensor& out)) {
  Require(sorted_experts.dim() == 1 && num_experts > 0,
          "sortedExpertForSourceRow must have 1 dimension, numExperts must be positive");
  // npu_moe_compute_expert_tokens.md
  Limit(num_experts <= 2048, "numExperts must be at most 2048, got ", num_experts);
  Limit(sorted_experts.numel() < (1 << 24),
        "sortedExpertForSourceRow must have less than 2^24 elements");
  return [=]() mutable {
    const auto experts = at::arange(num_experts, sorted_experts.options());
    out.copy_(at::searchsorted(sorted_experts, experts, /*out_int32=*/false, /*right=*/true));
  };
}

ACLNN_PLANNED_OP(aclnnMoeTokenPermute,
                 (const Tensor& tokens, const Tensor& indices, int64_t num_out_tokens,
                  bool padded_mode, Tensor& permuted_tokens, Tensor& sorted_indices)) {
  Require(!padded_mode, "paddedMode must be false");
  Require(indices.dim() == 1 || indices.dim() == 2, "indices must have 1 or 2 dimensions");
  Require(tokens.dim() == 2 && indices.size(0) == tokens.size(0),
          "tokens must be [tokens, H] and indices have one row for each");
  return [=]() mutable {
    const auto order = StableOrder(indices.reshape(-1));
    const auto k = indices.dim() == 1 ? 1 : indices.size(1);
    const auto rows = std::min(num_out_tokens, order.size(0));
    permuted_tokens.copy_(tokens.index_select(0, order.narrow(0, 0, rows).div(k, "floor")));
    sorted_indices.copy_(Inverse(order));
  };
}

ACLNN_PLANNED_OP(aclnnMoeTokenUnpermute, (const Tensor& permuted_tokens,
                                          const Tensor& sorted_indices, const OptTensor& probs,
                                          bool padded_mode, const OptInts& /*restore_shape: of
                  paddedMode*/, Tensor& out)) {
  Require(!padded_mode, "paddedMode must be false");
  Require(!probs || probs->dim() == 2, "probs must have 2 dimensions");
  Require(!probs || probs->numel() == sorted_indices.numel(),
          "probs must have one element for each of sortedIndices");
  return [=]() mutable {
    const auto k = probs ? probs->size(1) : 1;
    const auto rows = RowsOrZeros(permuted_tokens, sorted_indices.to(at::kLong));
    const auto of_tokens = rows.view({-1, k, rows.size(1)});
    out.copy_(probs ? at::bmm(probs->to(at::kFloat).unsqueeze(1), of_tokens).squeeze(1)
                    : of_tokens.squeeze(1));
  };
}

// out = skip1 + skip2 + sum over k of scale * (row + bias of its expert).
ACLNN_PLANNED_OP(aclnnMoeFinalizeRoutingV4,
                 (const Tensor& expanded_x, const Tensor& row_idx, const OptTensor& skip1,
                  const OptTensor& skip2, const OptTensor& bias, const OptTensor& scales,
                  const OptTensor& expert_idx, const OptTensor& reserved1,
                  const OptTensor& reserved2, const OptTensor& reserved3,
                  const OptTensor& reserved4, int64_t drop_pad_mode, const OptInts& range1,
                  const OptInts& range2, const OptInts& range3, int64_t k_without_scales,
                  Tensor& out)) {
  Require(!reserved1 && !reserved2 && !reserved3 && !reserved4 && !range1 && !range2 && !range3,
          "zero, copy and constant experts are not supported");
  Require(drop_pad_mode >= 0 && drop_pad_mode <= 3, "dropPadMode must be from 0 to 3, got ",
          drop_pad_mode);
  Require(expanded_x.dim() == (drop_pad_mode % 2 == 0 ? 2 : 3),
          "expandedX must have 2 dimensions, with dropPadMode 1 and 3 three");
  Require(skip1 || !skip2, "skip2 must be absent where skip1 is");
  Require(!bias || expert_idx, "expertIdx must be given with bias");
  const auto k = scales ? scales->size(1) : std::max<int64_t>(k_without_scales, 1);
  Require(row_idx.dim() == 1 && row_idx.size(0) == out.size(0) * k,
          "expandedRowIdx must have rows * k elements");
  return [=]() mutable {
    const auto rows = out.size(0), columns = out.size(1);
    // Modes 0 and 1 number the places column by column.
    const auto places = drop_pad_mode < 2 ? row_idx.view({k, rows}).t().reshape(-1) : row_idx;
    auto terms = RowsOrZeros(expanded_x.reshape({-1, columns}), places.to(at::kLong));
    if (bias) terms += bias->index_select(0, expert_idx->reshape(-1)).to(at::kFloat);
    const auto of_rows = terms.view({rows, k, columns});
    auto sum =
        scales ? at::bmm(scales->to(at::kFloat).unsqueeze(1), of_rows).squeeze(1) : of_rows.sum(1);
    for (const auto& skip : {skip1, skip2}) {
      if (skip) sum += *skip;
    }
    out.copy_(sum);
  };
}

// Rows that came by rank, then by expert, reordered by expert, then by rank.
ACLNN_PLANNED_OP(aclnnMoeReRouting,
                 (const Tensor& tokens, const Tensor& counts, const OptTensor& per_token_scales,
                  int64_t expert_token_num_type, int64_t idx_type, Tensor& permuted_tokens,
                  Tensor& permuted_scales, Tensor& token_idx, Tensor& expert_token_num)) {
  Require(tokens.dim() == 2 && counts.dim() == 2,
          "tokens must be [tokens, H], expertTokenNumPerRank [ranks, experts]");
  Require(expert_token_num_type == 1, "expertTokenNumType must be 1, got ", expert_token_num_type);
  Require(idx_type == 0, "idxType must be 0, got ", idx_type);
  Limit(tokens.size(1) < 16384, "H must be less than 16384, got ",
        tokens.size(1));  // npu_moe_re_routing.md
  return [=]() mutable {
    const auto sizes = counts.to(at::kLong);
    const auto ranks = sizes.size(0), experts = sizes.size(1);
    TORCH_CHECK(sizes.sum().item<int64_t>() == tokens.size(0),
                "expertTokenNumPerRank must add up to the number of tokens, ", tokens.size(0));
    const auto expert_of = at::arange(experts).repeat({ranks}).repeat_interleave(sizes.flatten());
    const auto order = StableOrder(expert_of);
    permuted_tokens.copy_(tokens.index_select(0, order));
    if (per_token_scales) permuted_scales.copy_(per_token_scales->index_select(0, order));
    token_idx.copy_(order);
    expert_token_num.copy_(sizes.sum(0));
  };
}

}  // namespace ascend_sim::opapi
