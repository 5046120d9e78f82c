// SPDX-License-Identifier: Apache-2.0
//
// The gradient of the attention of training, from the statistics of the forward pass. In float32,
// rounded once.
#include "attention_layout.h"
#include "flash_attention.h"

namespace ascend_sim::opapi {
namespace {

struct ScoreGradient {
  AttentionCall call;  // its `out` is the result of the forward pass
  Tensor dy;           // [batch, token, head, size], as are the gradients
  Tensor row_max, row_sum;
  Tensor dq, dk, dv;
};

// Packed sequences are one batch.
Tensor OfBatch(const Tensor& rows, int64_t batch) {
  return rows.select(0, rows.size(0) == 1 ? 0 : batch);
}

// [heads, tokens, size] in float32 of one sequence.
Tensor HeadsOf(const Tensor& rows, int64_t batch, int64_t begin, int64_t length) {
  return OfBatch(rows, batch).narrow(0, begin, length).transpose(0, 1).to(at::kFloat);
}

// [heads, queries, 1]: the statistics hold every number eight times.
Tensor StatisticsOf(const Tensor& statistics, const AttentionCall& call,
                    const AttentionSequence& s) {
  const auto& strides = call.statistics_strides;
  return statistics.select(-1, 0).contiguous().as_strided(
      {call.heads, s.query_length, 1}, {strides.head, strides.token, 1},
      s.batch * strides.batch + s.query_begin * strides.token);
}

// The gradient of a key/value head is the sum of those of its group.
Tensor SumOfGroups(const Tensor& heads, int64_t kv_heads) {
  return heads.unflatten(0, {kv_heads, heads.size(0) / kv_heads}).sum(1);
}

void StoreHeads(Tensor& rows, const Tensor& heads, int64_t batch, int64_t begin) {
  OfBatch(rows, batch).narrow(0, begin, heads.size(1)).copy_(heads.transpose(0, 1));
}

void Differentiate(ScoreGradient& g, const AttentionSequence& s) {
  const auto& call = g.call;
  const auto group = call.heads / call.kv_heads;
  const auto of_queries = [&](const Tensor& rows) {
    return HeadsOf(rows, s.batch, s.query_begin, s.query_length);
  };
  const auto of_keys = [&](const Tensor& rows) {
    return HeadsOf(rows, s.batch, s.kv_begin, s.kv_length).repeat_interleave(group, 0);
  };
  const auto q = of_queries(call.q), out = of_queries(call.out), dy = of_queries(g.dy);
  const auto k = of_keys(call.k), v = of_keys(call.v);

  const auto scores = at::matmul(q, k.transpose(1, 2)) * call.scale;
  auto weights =
      (scores - StatisticsOf(g.row_max, call, s)).exp() / StatisticsOf(g.row_sum, call, s);
  if (const auto hidden = HiddenPairs(call, s); hidden.defined()) weights.masked_fill_(hidden, 0);

  const auto by_weight = at::matmul(dy, v.transpose(1, 2));
  const auto by_score = weights * (by_weight - (dy * out).sum(-1, /*keepdim=*/true)) * call.scale;
  StoreHeads(g.dq, at::matmul(by_score, k), s.batch, s.query_begin);
  StoreHeads(g.dk, SumOfGroups(at::matmul(by_score.transpose(1, 2), q), call.kv_heads), s.batch,
             s.kv_begin);
  StoreHeads(g.dv, SumOfGroups(at::matmul(weights.transpose(1, 2), dy), call.kv_heads), s.batch,
             s.kv_begin);
}

Work PlanGradient(const ScoreArguments& a, const Tensor& dy, const Tensor& dq, const Tensor& dk,
                  const Tensor& dv) {
  ScoreGradient g;
  g.call = ScoreCall(a);
  g.row_max = a.row_max;
  g.row_sum = a.row_sum;
  const auto& call = g.call;
  g.dy = RowsIn(a.layout, dy, call.heads, "dy");
  g.dq = RowsIn(a.layout, dq, call.heads, "dq");
  g.dk = RowsIn(a.layout, dk, call.kv_heads, "dk");
  g.dv = RowsIn(a.layout, dv, call.kv_heads, "dv");
  Require(g.dy.sizes() == call.out.sizes(), "dy must have attentionIn's shape");
  Require(g.dq.sizes() == call.q.sizes() && g.dk.sizes() == call.k.sizes() &&
              g.dv.sizes() == call.v.sizes(),
          "dq, dk and dv must have the shapes of query, key and value");
  RequireStatistics(a, call);
  return [g]() mutable {
    for (auto* gradient : {&g.dq, &g.dk, &g.dv}) gradient->zero_();  // where nothing is seen
    for (const auto& sequence : g.call.sequences) {
      if (sequence.query_length > 0 && sequence.kv_length > 0) Differentiate(g, sequence);
    }
  };
}

#define GRADIENT_INPUTS                                                                       \
  const Tensor &query, const Tensor &key, const Tensor &value, const Tensor &dy, SCORE_MASKS, \
      const Tensor &softmax_max, const Tensor &softmax_sum, const OptTensor & /*softmax_in*/, \
      const Tensor &attention
#define GRADIENT_RESULTS Tensor &dq, Tensor &dk, Tensor &dv, const OptTensor & /*dpse*/

}  // namespace

ACLNN_PLANNED_OP(aclnnFlashAttentionScoreGrad,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, SCORE_ATTRIBUTES, GRADIENT_RESULTS)) {
  SCORE_ARGUMENTS(arguments, attention);
  return PlanGradient(arguments, dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionUnpaddingScoreGrad,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, SCORE_ATTRIBUTES, GRADIENT_RESULTS)) {
  SCORE_ARGUMENTS(arguments, attention);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanGradient(arguments, dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionUnpaddingScoreGradV4,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, SCORE_ATTRIBUTES, GRADIENT_RESULTS,
                  const std::string& softmax_layout)) {
  SCORE_ARGUMENTS(arguments, attention);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  arguments.softmax_layout = softmax_layout;
  return PlanGradient(arguments, dy, dq, dk, dv);
}

}  // namespace ascend_sim::opapi
