// SPDX-License-Identifier: Apache-2.0
//
// What the attention of training and its gradient have in common.
#pragma once

#include "opapi/attention/call.h"
#include "opapi/attention/dropout.h"

namespace ascend_sim::opapi {

struct ScoreArguments {
  Tensor query = {}, key = {}, value = {};
  OptTensor query_rope = {}, key_rope = {};  // further elements of queries and keys
  OptTensor mask = {}, sink = {};
  OptInts query_ends = {}, kv_ends = {};  // cumulative lengths, for the packed layout only
  double scale = 0;
  AttentionDropout dropout = {};
  int64_t pre_tokens = 0, next_tokens = 0, heads = 0;
  std::string layout = {};
  int64_t sparse_mode = 0;
  // Of the statistics in the packed layout: "" is [heads, tokens], "same_as_input" [tokens, heads].
  std::string softmax_layout = {};
  Tensor row_max = {}, row_sum = {};  // [..., 8]: every statistic eight times, or empty
  Tensor out = {};
};

#define SCORE_QUANTIZATION \
  const OptTensor &d_scale_q, const OptTensor &d_scale_k, const OptTensor &d_scale_v

// The call without the parts of rope, sink and dropout. Throws ParamError.
AttentionCall ScoreCall(const ScoreArguments& arguments);

// What the versions for 950 have beyond the others. Throws ParamError.
void SetLater(ScoreArguments& arguments, SCORE_QUANTIZATION, const OptInts& query_ends,
              const OptInts& kv_ends, const std::string& softmax_layout, int64_t seed,
              int64_t offset);

// Throws ParamError unless there are statistics for each row of queries.
void RequireStatistics(const ScoreArguments& arguments, const AttentionCall& call);

// All versions have these in one order; what later ones inserted stands between.
#define SCORE_MASKS                                                                \
  const OptTensor &pse, const OptTensor &drop_mask, const OptTensor &padding_mask, \
      const OptTensor &mask
#define SCORE_ATTRIBUTES                                                                         \
  double scale, double keep_probability, int64_t pre_tokens, int64_t next_tokens, int64_t heads, \
      const std::string &layout, [[maybe_unused]] int64_t inner_precise, int64_t sparse_mode
#define SCORE_ARGUMENTS(result)                                                                 \
  CollectScore(query, key, value, pse, drop_mask, padding_mask, mask, scale, keep_probability,  \
               pre_tokens, next_tokens, heads, layout, inner_precise, sparse_mode, softmax_max, \
               softmax_sum, result)

// Refuses what is not simulated and collects the rest. Throws ParamError.
ScoreArguments CollectScore(const Tensor& query, const Tensor& key, const Tensor& value,
                            SCORE_MASKS, SCORE_ATTRIBUTES, const Tensor& row_max,
                            const Tensor& row_sum, const Tensor& out);

}  // namespace ascend_sim::opapi
