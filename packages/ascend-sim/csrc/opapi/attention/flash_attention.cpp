// SPDX-License-Identifier: Apache-2.0
//
// The attention of training, which npu_fusion_attention and scaled_dot_product_attention run.
#include "opapi/attention/flash_attention.h"

#include "opapi/attention/layout.h"
#include "opapi/attention/limits.h"

namespace ascend_sim::opapi {
namespace {

// Sequences at the end that do not take part have an end of 0.
Ints WithoutTail(const OptInts& ends, const char* name) {
  Require(ends.has_value() && !ends->empty(), name, " must be given in a packed layout");
  Ints kept = *ends;
  while (kept.size() > 1 && kept.back() == 0) kept.pop_back();
  return kept;
}

void AddPackedSequences(AttentionCall& call, const ScoreArguments& a, int64_t kv_tokens) {
  const auto query_ends = WithoutTail(a.query_ends, "actualSeqQLen");
  const auto kv_ends = WithoutTail(a.kv_ends, "actualSeqKvLen");
  CheckPackedEnds(query_ends, call.q.size(1), "actualSeqQLen");
  CheckPackedEnds(kv_ends, kv_tokens, "actualSeqKvLen");
  Require(query_ends.size() == kv_ends.size(), "actualSeqKvLen must be as long as actualSeqQLen");
  Require(!call.mask.defined() || call.mask.dim() == 2,
          "attenMask must have 2 dimensions in layout TND");
  for (size_t i = 0; i < query_ends.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const auto query = PackedBegin(query_ends, index), kv = PackedBegin(kv_ends, index);
    call.sequences.push_back({index, query, query_ends[i] - query, kv, kv_ends[i] - kv});
  }
}

void CheckDropout(const AttentionDropout& dropout, const AttentionCall& call) {
  Require(dropout.keep > 0 && dropout.keep <= 1, "keepProb must be above 0 and at most 1, got ",
          dropout.keep);
  if (!dropout.IsActive()) return;
  Require(dropout.mask || dropout.seed, "dropMask must be given with a keepProb below 1");
  if (!dropout.mask) return;
  const auto& mask = *dropout.mask;
  Require(mask.scalar_type() == at::kByte && mask.numel() * 8 >= WeightsOf(call),
          "dropMask must be uint8 with a bit for each of ", WeightsOf(call), " weights, got ",
          mask.scalar_type(), " ", mask.sizes());
}

void AttendDropping(const AttentionCall& call, const AttentionDropout& dropout) {
  if (dropout.IsActive()) {
    AttendAndDrop(call, dropout);
  } else {
    Attend(call);
  }
}

// Runs the call and stores what the backward pass needs, each number eight times: the greatest
// score of a row and the sum of exp(score - greatest).
void AttendWithStatistics(AttentionCall call, const AttentionDropout& dropout, Tensor& row_max,
                          Tensor& row_sum) {
  const auto rows = row_max.sizes().slice(0, row_max.dim() - 1);
  call.log_sum_exp = at::zeros(rows, at::kFloat);
  call.row_max = call.log_sum_exp.clone();
  AttendDropping(call, dropout);
  const auto sum = (call.log_sum_exp - call.row_max).exp().nan_to_num_(/*nan=*/0.0);
  row_max.copy_(call.row_max.unsqueeze(-1).expand_as(row_max));
  row_sum.copy_(sum.unsqueeze(-1).expand_as(row_sum));
}

}  // namespace

AttentionCall ScoreCall(const ScoreArguments& a) {
  Require(a.key.scalar_type() == a.query.scalar_type() &&
              a.value.scalar_type() == a.query.scalar_type() &&
              a.out.scalar_type() == a.query.scalar_type(),
          "query, key, value and attentionOut must have one dtype");
  const bool packed = IsPacked(a.layout);
  const auto q = RowsIn(a.layout, a.query, a.heads, "query");
  const auto kv_heads =
      a.layout == "BSH" || a.layout == "SBH" ? a.key.size(2) / std::max<int64_t>(1, q.size(3)) : 0;
  const auto k = RowsIn(a.layout, a.key, kv_heads, "key");
  const auto v = RowsIn(a.layout, a.value, kv_heads, "value");
  const auto out = RowsIn(a.layout, a.out, a.heads, "attentionOut");
  Require(
      q.size(2) == a.heads && k.size(2) > 0 && q.size(2) % k.size(2) == 0 && k.size(2) == v.size(2),
      "the number of query heads must be headNum and a multiple of key's");
  Require(k.size(3) == q.size(3) && k.size(1) == v.size(1) && k.size(0) == q.size(0),
          "key has the wrong shape");
  CheckScoreLimits(q, k, v, a.mask, packed && a.query_ends ? a.query_ends->size() : 0);

  AttentionCall call;
  SetQueries(call, q, out);
  SetKeys(call, k, v);
  call.scale = a.scale;
  // Without a mask the sparse mode has no effect (npu_fusion_attention.md).
  SetSparsity(call, a.mask ? a.sparse_mode : 0, a.mask, a.pre_tokens, a.next_tokens);
  if (packed) {
    AddPackedSequences(call, a, k.size(1));
  } else {
    for (int64_t i = 0; i < q.size(0); ++i) {
      call.sequences.push_back({i, 0, q.size(1), 0, k.size(1)});
    }
  }
  CheckDropout(a.dropout, call);
  // [B, N, S], or [T, N] in either order.
  call.statistics_strides = !packed ? RowStrides{a.heads * q.size(1), 1, q.size(1)}
                            : a.softmax_layout == "same_as_input" ? RowStrides{0, a.heads, 1}
                                                                  : RowStrides{0, 1, q.size(1)};
  return call;
}

ScoreArguments CollectScore(const Tensor& query, const Tensor& key, const Tensor& value,
                            SCORE_MASKS, SCORE_ATTRIBUTES, const Tensor& row_max,
                            const Tensor& row_sum, const Tensor& out) {
  RequireAbsent(pse, "realShift");
  RequireAbsent(padding_mask, "paddingMask");
  return {.query = query,
          .key = key,
          .value = value,
          .mask = mask,
          .scale = scale,
          .dropout = {keep_probability, drop_mask},
          .pre_tokens = pre_tokens,
          .next_tokens = next_tokens,
          .heads = heads,
          .layout = layout,
          .sparse_mode = sparse_mode,
          .row_max = row_max,
          .row_sum = row_sum,
          .out = out};
}

void SetLater(ScoreArguments& arguments, SCORE_QUANTIZATION, const OptInts& query_ends,
              const OptInts& kv_ends, const std::string& softmax_layout, int64_t seed,
              int64_t offset) {
  RequireAbsent(d_scale_q, "dScaleQ");
  RequireAbsent(d_scale_k, "dScaleK");
  RequireAbsent(d_scale_v, "dScaleV");
  if (IsPacked(arguments.layout)) {
    arguments.query_ends = query_ends;
    arguments.kv_ends = kv_ends;
  }
  arguments.softmax_layout = softmax_layout;
  arguments.dropout.seed = seed;
  arguments.dropout.offset = offset;
}

void RequireStatistics(const ScoreArguments& a, const AttentionCall& call) {
  const auto rows = call.q.size(0) * call.q.size(1) * call.heads;
  constexpr int64_t kCopies = 8;
  Require(a.row_max.sizes() == a.row_sum.sizes() && a.row_max.numel() == rows * kCopies &&
              a.row_max.dim() > 0 && a.row_max.size(-1) == kCopies,
          "softmaxMax and softmaxSum must have one shape, with 8 elements for each of ", rows,
          " rows, got ", a.row_max.sizes(), " and ", a.row_sum.sizes());
}

namespace {

Work PlanScore(const ScoreArguments& a) {
  auto call = ScoreCall(a);
  const bool packed = IsPacked(a.layout);
  Tensor q_rope, k_rope;
  if (a.query_rope || a.key_rope) {
    Require(a.query_rope && a.key_rope, "queryRope and keyRope must be given together");
    q_rope = RowsIn(a.layout, *a.query_rope, a.heads, "queryRope");
    k_rope = RowsIn(a.layout, *a.key_rope, call.kv_heads, "keyRope");
    call.key_size += q_rope.size(3);
  }
  Require(!a.sink || a.sink->numel() == a.heads, "sink must have one element per head");
  const bool statistics = a.row_max.numel() > 0 && a.row_sum.numel() > 0;
  if (statistics) RequireStatistics(a, call);
  return
      [=, row_max = a.row_max, row_sum = a.row_sum, sink = a.sink, dropout = a.dropout]() mutable {
        auto now = call;
        if (packed) now.out.zero_();  // the tail takes no part
        if (q_rope.defined()) {
          now.q = at::cat({call.q, q_rope}, -1).contiguous();
          now.k = at::cat({call.k, k_rope}, -1).contiguous();
          now.q_strides = StridesOf(now.q);
          now.k_strides = StridesOf(now.k);
        }
        if (sink) now.sink = sink->reshape({-1}).to(at::kFloat).contiguous();
        if (statistics) {
          AttendWithStatistics(now, dropout, row_max, row_sum);
        } else {
          AttendDropping(now, dropout);
        }
      };
}

#define SCORE_RESULTS \
  Tensor &softmax_max, Tensor &softmax_sum, const OptTensor & /*softmax_out: reserved*/, Tensor &out

}  // namespace

ACLNN_PLANNED_OP(aclnnFlashAttentionScore,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, SCORE_ATTRIBUTES, SCORE_RESULTS)) {
  return PlanScore(SCORE_ARGUMENTS(out));
}
ACLNN_PLANNED_OP(aclnnFlashAttentionScoreV2,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, const OptInts& /*q_start*/,
                  const OptInts& /*kv_start*/, SCORE_ATTRIBUTES, int64_t /*pse_type*/,
                  SCORE_RESULTS)) {
  return PlanScore(SCORE_ARGUMENTS(out));
}
ACLNN_PLANNED_OP(aclnnFlashAttentionScoreV3,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptTensor& sink, const OptInts& /*prefix*/, const OptInts& /*q_start*/,
                  const OptInts& /*kv_start*/, SCORE_ATTRIBUTES, int64_t /*pse_type*/,
                  SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.sink = sink;
  return PlanScore(arguments);
}

// Packed sequences.
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScore,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, const OptInts& query_ends, const OptInts& kv_ends,
                  SCORE_ATTRIBUTES, SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanScore(arguments);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScoreV2,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, const OptInts& query_ends, const OptInts& kv_ends,
                  const OptInts& /*q_start*/, const OptInts& /*kv_start*/, SCORE_ATTRIBUTES,
                  int64_t /*pse_type*/, SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanScore(arguments);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScoreV3,
                 (const Tensor& query, const OptTensor& query_rope, const Tensor& key,
                  const OptTensor& key_rope, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, const OptInts& query_ends, const OptInts& kv_ends,
                  const OptInts& /*q_start*/, const OptInts& /*kv_start*/, SCORE_ATTRIBUTES,
                  int64_t /*pse_type*/, SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.query_rope = query_rope;
  arguments.key_rope = key_rope;
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanScore(arguments);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScoreV4,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptInts& /*prefix*/, const OptInts& query_ends, const OptInts& kv_ends,
                  SCORE_ATTRIBUTES, const std::string& softmax_layout, SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  arguments.softmax_layout = softmax_layout;
  return PlanScore(arguments);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScoreV5,
                 (const Tensor& query, const OptTensor& query_rope, const Tensor& key,
                  const OptTensor& key_rope, const Tensor& value, SCORE_MASKS,
                  const OptTensor& sink, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, const OptInts& /*q_start*/, const OptInts& /*kv_start*/,
                  SCORE_ATTRIBUTES, int64_t /*pse_type*/, const std::string& softmax_layout,
                  SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  arguments.query_rope = query_rope;
  arguments.key_rope = key_rope;
  arguments.sink = sink;
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  arguments.softmax_layout = softmax_layout;
  return PlanScore(arguments);
}

// Of 950, for all of these.
ACLNN_PLANNED_OP(aclnnFlashAttentionScoreV4,
                 (const Tensor& query, const Tensor& key, const Tensor& value, SCORE_MASKS,
                  const OptTensor& query_rope, const OptTensor& key_rope, SCORE_QUANTIZATION,
                  const OptTensor& sink, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, const OptInts& /*q_start*/, const OptInts& /*kv_start*/,
                  SCORE_ATTRIBUTES, int64_t /*out_dtype: out's own*/, int64_t /*pse_type*/,
                  const std::string& softmax_layout, int64_t seed, int64_t offset, SCORE_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(out);
  SetLater(arguments, d_scale_q, d_scale_k, d_scale_v, query_ends, kv_ends, softmax_layout, seed,
           offset);
  arguments.query_rope = query_rope;
  arguments.key_rope = key_rope;
  arguments.sink = sink;
  return PlanScore(arguments);
}

// How much workspace any lengths could need; the executor that comes with it is only destroyed.
ACLNN_BIND_PREPARE(aclnnFlashAttentionVarLenScoreV5GetMaxWorkspaceSize,
                   aclnnFlashAttentionVarLenScoreV5_op)

}  // namespace ascend_sim::opapi
