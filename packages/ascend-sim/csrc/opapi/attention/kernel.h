// SPDX-License-Identifier: Apache-2.0
//
// Scaled dot-product attention over sequences whose keys and values are dense or paged, with
// grouped heads.
//
// softmax(scale * q k^T) v in float32, rounded once. A key/value head is read in place: pages are
// not gathered for short queries, and heads are never repeated for a group.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace ascend_sim::opapi {

// Where the row of (batch, token, head) begins: strides in elements; the last dimension is
// contiguous.
struct RowStrides {
  int64_t batch = 0;
  int64_t token = 0;
  int64_t head = 0;
};

// Those of a view [batch, token, head, size].
inline RowStrides StridesOf(const at::Tensor& rows) {
  return {rows.size(0) == 1 ? 0 : rows.stride(0), rows.stride(1), rows.stride(2)};
}

// One sequence of a call.
struct AttentionSequence {
  int64_t batch = 0;        // index into the batch dimension of q and out, block_table and mask
  int64_t query_begin = 0;  // first token of q and out
  int64_t query_length = 0;
  int64_t kv_begin = 0;  // first token of k and v, if they are dense
  int64_t kv_length = 0;
};

// Which keys a query may see: a band of positions, described by sparse_mode as in CANN, and a mask.
struct AttentionBand {
  int64_t before = -1;  // how many keys before its own position; -1: all
  int64_t after = -1;   // how many after; -1: all
  bool align_end =
      false;  // the last query's own position is the last key; else the first's is the first
};

struct AttentionCall {
  at::Tensor q, k, v, out;  // keep the views alive
  RowStrides q_strides, k_strides, v_strides, out_strides;
  int64_t heads = 0, kv_heads = 0, key_size = 0, value_size = 0;
  double scale = 1.0;
  AttentionBand band;

  // Pages: k and v strides are {block, token, head}.
  at::Tensor block_table;  // [batch, blocks], int32, or undefined for dense k and v
  int64_t block_size = 0;

  // Where keys and values are not rows at fixed strides: makes those of a sequence, each
  // [1, keys, kv_heads, size] of q's dtype, when the call runs. k, v and block_table are unused
  // then.
  std::function<std::pair<at::Tensor, at::Tensor>(const AttentionSequence&)> gather;

  // Per head, if defined: a score that takes part in the softmax and has no value; float.
  at::Tensor sink;

  // True (or not 0) hides a key. [..., query, key]; broadcasts over heads; dimension 0 of a 3-d or
  // 4-d mask is the batch unless 1.
  at::Tensor mask;

  // Per row, if defined: the logarithm of the sum of exp(score), and the greatest score of a key;
  // float, -inf where a query sees no key.
  at::Tensor log_sum_exp, row_max;
  RowStrides statistics_strides;

  std::vector<AttentionSequence> sequences;
};

// Runs the call; may be repeated. Throws c10::Error if a block table names a block that does not
// exist.
void Attend(const AttentionCall& call);

// bool [queries, keys] of a sequence, true where the band or the mask hides a key; undefined if all
// queries see all keys.
at::Tensor HiddenPairs(const AttentionCall& call, const AttentionSequence& sequence);

}  // namespace ascend_sim::opapi
