// SPDX-License-Identifier: Apache-2.0
//
// What the operators that fill the cache of multi-head latent attention have in common.
#pragma once

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// Where the rows of a call go.
enum class CacheMode {
  kNorm,         // [batch, 1, length, size]; the index is a place in the batch
  kPaged,        // [blocks, block_size, 1, size]; the index is a slot
  kPagedBlocks,  // likewise; the index is the first slot of every block
};

struct Target {
  CacheMode mode;
  bool fractal;  // the memory of a block holds [size / c, block_size, c]
};

// As the cache stores it: rounded to its dtype, or quantized.
Tensor Stored(const Tensor& rows, const OptTensor& scale, const Tensor& cache);

// Writes rows [batch, tokens, size] of the cache's dtype to it.
void Scatter(const Tensor& rows, const Tensor& index, const Target& target, const Tensor& cache);

}  // namespace ascend_sim::opapi
