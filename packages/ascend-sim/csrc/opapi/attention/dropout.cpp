// SPDX-License-Identifier: Apache-2.0
#include "opapi/attention/dropout.h"

#include <limits>

#include "opapi/aten/random.h"
#include "opapi/attention/layout.h"
#include "opapi/nn/dropout.h"

namespace ascend_sim::opapi {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// Where the statistic of a row is, as a view [heads, queries].
Tensor RowsOf(const Tensor& statistic, const AttentionCall& call, const AttentionSequence& s) {
  const auto& strides = call.statistics_strides;
  return statistic.as_strided({call.heads, s.query_length}, {strides.head, strides.token},
                              s.batch * strides.batch + s.query_begin * strides.token);
}

}  // namespace

Tensor AttentionDropout::Factors(int64_t weights) const {
  const auto stays =
      mask ? DropoutStays(*mask, weights)
           : at::empty({weights}, at::kBool).bernoulli_(keep, GeneratorAt(seed.value(), offset));
  return stays.to(at::kFloat).div_(keep);
}

int64_t WeightsOf(const AttentionCall& call) {
  int64_t pairs = 0;
  for (const auto& s : call.sequences) pairs += s.query_length * s.kv_length;
  return pairs * call.heads;
}

Tensor FactorsOf(const Tensor& factors, const AttentionCall& call,
                 const AttentionSequence& sequence, int64_t& first) {
  const auto shape = std::array{call.heads, sequence.query_length, sequence.kv_length};
  const auto own = factors.narrow(0, first, c10::multiply_integers(shape)).view(shape);
  first += own.numel();
  return own;
}

void AttendAndDrop(const AttentionCall& call, const AttentionDropout& dropout) {
  const auto group = call.heads / call.kv_heads;
  const auto factors = dropout.Factors(WeightsOf(call));
  int64_t first = 0;
  for (const auto& s : call.sequences) {
    if (s.query_length == 0) continue;
    auto out = OfBatch(call.out, s.batch).narrow(0, s.query_begin, s.query_length);
    if (s.kv_length == 0) {
      out.zero_();
      for (const auto& statistic : {call.log_sum_exp, call.row_max}) {
        if (statistic.defined()) RowsOf(statistic, call, s).fill_(kMinusInfinity);
      }
      continue;
    }
    const auto of_keys = [&](const Tensor& rows) {
      return HeadsOf(rows, s.batch, s.kv_begin, s.kv_length).repeat_interleave(group, 0);
    };
    auto scores = at::matmul(HeadsOf(call.q, s.batch, s.query_begin, s.query_length),
                             of_keys(call.k).transpose(1, 2)) *
                  call.scale;
    if (const auto hidden = HiddenPairs(call, s); hidden.defined()) {
      scores.masked_fill_(hidden, kMinusInfinity);
    }
    auto all = scores;
    if (call.sink.defined()) {
      all = at::cat({scores, call.sink.view({-1, 1, 1}).expand({-1, s.query_length, 1})}, -1);
    }
    const auto sum = at::logsumexp(all, -1, /*keepdim=*/true);
    // A query that sees nothing has the result 0.
    const auto weights = (scores - sum).exp().nan_to_num_(/*nan=*/0.0);
    const auto dropped = weights * FactorsOf(factors, call, s, first);
    out.copy_(at::matmul(dropped, of_keys(call.v)).transpose(0, 1));
    if (call.log_sum_exp.defined()) RowsOf(call.log_sum_exp, call, s).copy_(sum.squeeze(-1));
    if (call.row_max.defined()) RowsOf(call.row_max, call, s).copy_(scores.amax(-1));
  }
}

}  // namespace ascend_sim::opapi
