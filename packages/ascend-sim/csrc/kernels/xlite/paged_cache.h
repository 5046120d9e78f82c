// SPDX-License-Identifier: Apache-2.0
//
// Keys or values in blocks of tokens.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ascend_sim::kernels::xlite {

// Blocks of `block_size` tokens, each a row of all its heads. A block begins `pitch` elements after
// the last one, or where that ends: keys and values may be halves of one tensor.
template <class T>
struct PagedCache {
  T* data;
  int64_t block_size, row, pitch;

  T* Block(int64_t block) const { return data + block * std::max(pitch, block_size * row); }
  T* At(int64_t slot) const { return Block(slot / block_size) + slot % block_size * row; }
};

}  // namespace ascend_sim::kernels::xlite
