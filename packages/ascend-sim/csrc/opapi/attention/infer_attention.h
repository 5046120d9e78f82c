// SPDX-License-Identifier: Apache-2.0
//
// Attention of inference: one plan for aclnnFusedInferAttentionScore, IncreFlashAttention and
// PromptFlashAttention, whose arguments are the same things in different orders.
#pragma once

#include "opapi/abi/op.h"
#include "opapi/attention/key_values.h"

namespace ascend_sim::opapi {

struct InferArguments {
  Tensor query = {}, key = {}, value = {}, out = {};
  OptTensor query_rope = {}, key_rope = {};  // further elements of queries and keys (MLA)
  OptTensor query_scale = {};                // of an int8 query, whose keys and values are int8 too
  int64_t query_scaling = 0;
  OptTensor mask = {};
  OptTensor sink = {};
  OptInts query_lengths = {}, kv_lengths = {};
  OptTensor query_padding = {},
            kv_padding = {};  // left padding: how far from the end a sequence ends
  OptTensor block_table = {};
  OptTensor key_scale = {}, key_offset = {}, value_scale = {},
            value_offset = {};  // of an int8 cache
  int64_t key_scaling = 0, value_scaling = 0;
  OptTensor key_prefix = {}, value_prefix = {};
  OptInts prefix_length = {};
  int64_t heads = 0, kv_heads = 0;
  double scale = 1.0;
  int64_t pre_tokens = 0, next_tokens = 0;
  std::string layout = {};
  int64_t sparse_mode = 0, block_size = 0;
  Tensor log_sum_exp = {};  // undefined: not wanted

  bool IsQuantized() const { return query.scalar_type() == at::kChar; }
};

Work PlanInference(InferArguments arguments);

}  // namespace ascend_sim::opapi
