// SPDX-License-Identifier: Apache-2.0
//
// Layouts of fused attention: whatever the layout, a tensor is viewed as [batch, token, head,
// size].
#pragma once

#include <string>

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// inputLayout "BSH" reads and writes that layout; "BNSD_BSND" reads the first and writes the
// second.
struct Layouts {
  std::string in, out;
};
Layouts LayoutsOf(const std::string& input_layout);

// Whether a layout packs all sequences into one batch, one after the other.
bool IsPacked(const std::string& layout);

// The view [batch, token, head, size] of a tensor in `layout`.
Tensor RowsIn(const std::string& layout, const Tensor& tensor, int64_t heads, const char* name);

// [token, head, size] of a batch of such a view; packed sequences are one batch.
Tensor OfBatch(const Tensor& rows, int64_t batch);

// [head, token, size] in float32 of some tokens of a batch.
Tensor HeadsOf(const Tensor& rows, int64_t batch, int64_t begin, int64_t length);

// Which of the documented shapes a paged cache has.
enum class PageLayout {
  kTokensFirst,  // BnBsH: [blocks, block_size, heads * size]
  kHeadsFirst,   // BnNBsD: [blocks, heads, block_size, size]
  kFractal,      // NZ: [blocks, heads, size / c, block_size, c], c elements being 32 bytes
  kSplitHeads,   // [blocks, block_size, heads, size], which is kHeadsFirst on a device
};

// A paged cache as [block, token in block, head, size], or in the fractal layout as
// [block, token in block, head, size / c, c].
struct Pages {
  Tensor rows;
  PageLayout layout;
};
Pages PagesIn(const Tensor& cache, int64_t heads, int64_t block_size, const char* name);

}  // namespace ascend_sim::opapi
