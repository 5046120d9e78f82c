// SPDX-License-Identifier: Apache-2.0
//
// The gradient of the attention of training, from the statistics of the forward pass. In float32,
// rounded once.
#include "opapi/attention/flash_attention.h"
#include "opapi/attention/layout.h"

namespace ascend_sim::opapi {
namespace {

struct ScoreGradient {
  AttentionCall call;  // its `out` is the result of the forward pass
  Tensor dy;           // [batch, token, head, size], as are the gradients
  Tensor row_max, row_sum;
  AttentionDropout dropout;
  Tensor dq, dk, dv;
};

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

// `factors` is [heads, queries, keys], or undefined without dropout.
void Differentiate(ScoreGradient& g, const AttentionSequence& s, const Tensor& factors) {
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

  auto by_weight = at::matmul(dy, v.transpose(1, 2));
  if (factors.defined()) by_weight *= factors;
  const auto by_score = weights * (by_weight - (dy * out).sum(-1, /*keepdim=*/true)) * call.scale;
  StoreHeads(g.dq, at::matmul(by_score, k), s.batch, s.query_begin);
  StoreHeads(g.dk, SumOfGroups(at::matmul(by_score.transpose(1, 2), q), call.kv_heads), s.batch,
             s.kv_begin);
  const auto dropped = factors.defined() ? weights * factors : weights;
  StoreHeads(g.dv, SumOfGroups(at::matmul(dropped.transpose(1, 2), dy), call.kv_heads), s.batch,
             s.kv_begin);
}

Work PlanGradient(const ScoreArguments& a, const Tensor& dy, const Tensor& dq, const Tensor& dk,
                  const Tensor& dv) {
  ScoreGradient g;
  g.call = ScoreCall(a);
  g.row_max = a.row_max;
  g.row_sum = a.row_sum;
  g.dropout = a.dropout;
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
    const auto factors = g.dropout.IsActive() ? g.dropout.Factors(WeightsOf(g.call)) : Tensor();
    int64_t first = 0;
    for (const auto& sequence : g.call.sequences) {
      if (sequence.query_length == 0 || sequence.kv_length == 0) continue;
      Differentiate(g, sequence,
                    factors.defined() ? FactorsOf(factors, g.call, sequence, first) : Tensor());
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
  return PlanGradient(SCORE_ARGUMENTS(attention), dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionScoreGradV2,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& /*q_start*/,
                  const OptInts& /*kv_start*/, SCORE_ATTRIBUTES, int64_t /*pse_type*/,
                  GRADIENT_RESULTS)) {
  return PlanGradient(SCORE_ARGUMENTS(attention), dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionUnpaddingScoreGrad,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, SCORE_ATTRIBUTES, GRADIENT_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(attention);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanGradient(arguments, dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionUnpaddingScoreGradV2,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, const OptInts& /*q_start*/, const OptInts& /*kv_start*/,
                  SCORE_ATTRIBUTES, int64_t /*pse_type*/, GRADIENT_RESULTS)) {
  auto arguments = SCORE_ARGUMENTS(attention);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  return PlanGradient(arguments, dy, dq, dk, dv);
}
ACLNN_PLANNED_OP(aclnnFlashAttentionUnpaddingScoreGradV4,
                 (GRADIENT_INPUTS, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, SCORE_ATTRIBUTES, GRADIENT_RESULTS,
                  const std::string& softmax_layout)) {
  auto arguments = SCORE_ARGUMENTS(attention);
  arguments.query_ends = query_ends;
  arguments.kv_ends = kv_ends;
  arguments.softmax_layout = softmax_layout;
  return PlanGradient(arguments, dy, dq, dk, dv);
}

// Of 950, for all of these.
ACLNN_PLANNED_OP(aclnnFlashAttentionScoreGradV4,
                 (GRADIENT_INPUTS, const OptTensor& sink, const OptTensor& query_rope,
                  const OptTensor& key_rope, SCORE_QUANTIZATION, const OptTensor& d_scale_dy,
                  const OptTensor& d_scale_o, const OptInts& /*prefix*/, const OptInts& query_ends,
                  const OptInts& kv_ends, const OptInts& /*q_start*/, const OptInts& /*kv_start*/,
                  double scale, double keep_probability, int64_t pre_tokens, int64_t next_tokens,
                  int64_t heads, const std::string& layout, const std::string& softmax_layout,
                  int64_t inner_precise, int64_t sparse_mode, int64_t /*pse_type*/, int64_t seed,
                  int64_t offset, int64_t /*out_dtype*/, Tensor& dq, Tensor& dk, Tensor& dv,
                  const OptTensor& /*dq_rope*/, const OptTensor& /*dk_rope*/,
                  const OptTensor& /*dpse*/, const OptTensor& /*dsink*/)) {
  RequireAbsent(sink, "sinkIn");
  RequireAbsent(query_rope, "queryRope");
  RequireAbsent(key_rope, "keyRope");
  RequireAbsent(d_scale_dy, "dScaleDy");
  RequireAbsent(d_scale_o, "dScaleO");
  auto arguments = SCORE_ARGUMENTS(attention);
  SetLater(arguments, d_scale_q, d_scale_k, d_scale_v, query_ends, kv_ends, softmax_layout, seed,
           offset);
  return PlanGradient(arguments, dy, dq, dk, dv);
}

}  // namespace ascend_sim::opapi
