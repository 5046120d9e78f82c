// SPDX-License-Identifier: Apache-2.0
//
// The keys, or the values, of fused attention: how they are stored, and how those of one sequence
// are gathered where they are not rows at fixed strides.
#pragma once

#include "opapi/abi/op.h"
#include "opapi/attention/kernel.h"

namespace ascend_sim::opapi {

// Which numbers of an int8 cache share a scale (keyAntiquantMode).
enum class Scaling {
  kChannel = 0,       // every (head, element); or one for all
  kToken = 1,         // every (sequence, token)
  kHead = 2,          // every head
  kTokenAndHead = 3,  // every (sequence, head, token)
};

struct KeyValues {
  Tensor rows;       // a view [batch or block, token, head, size]; of fractal pages
                     // [block, token, head, size / c, c]
  Tensor rope;       // a view as `rows`: further elements of every key; or undefined
  Tensor prefix;     // [1, tokens, heads, size], in front of every sequence; or undefined
  OptTensor scale;   // of int8 rows
  OptTensor offset;  // added before scaling
  Scaling scaling = Scaling::kChannel;
  Tensor block_table;  // of pages
  int64_t block_size = 0;
  int64_t sequences = 0;

  // Whether `rows` can be read in place.
  bool IsPlain() const;

  int64_t heads() const { return rows.size(2); }
  int64_t size() const;
  int64_t prefix_length() const { return prefix.defined() ? prefix.size(1) : 0; }

  // [1, keys, heads, size] of a sequence, whose kv_length includes the prefix. Reads device memory.
  Tensor Gather(const AttentionSequence& sequence, at::ScalarType type) const;

 private:
  Tensor Own(const Tensor& from, const AttentionSequence& sequence, int64_t length) const;
  Tensor Spread(const Tensor& factors, const AttentionSequence& sequence, const Tensor& like) const;
};

}  // namespace ascend_sim::opapi
