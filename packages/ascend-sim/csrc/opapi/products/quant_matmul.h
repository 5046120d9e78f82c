// SPDX-License-Identifier: Apache-2.0
//
// Products of quantized matrices, shared by the plain and the grouped operators.
#pragma once

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// The exact product of two int8 matrices (or batches of them), in int32.
Tensor IntMatmul(const Tensor& x1, const Tensor& x2);

// What turns such a product into numbers. Every part may be absent. A scale in int64 is one of
// aclnnTransQuantParamV3 and may hold an offset too.
struct Dequant {
  OptTensor bias = {};                // int32: before the scale; else after it
  OptTensor scale = {}, offset = {};  // one number, or one per column
  OptTensor per_token_scale = {};     // one number per row
};

// ((product + bias) * scale) * per_token_scale + offset, in float32.
Tensor Dequantize(const Tensor& product, const Dequant& dequant);

// int8 out of int4 in int32, which lie along n, or along k in a transposed matrix; int8 as it is.
Tensor Int8Matrix(const Tensor& x2, int64_t k);

// Rounds to an integer dtype, if `out` has one.
void StoreRounded(Tensor& out, const Tensor& values);

// Dequantized weights: (weight + offset) * scale, in float32. Scale and offset are one
// number, [n] or, for groups of `group_size` rows (0: of equal sizes), [groups, n].
Tensor AntiQuantize(const Tensor& weight, const Tensor& scale, const OptTensor& offset,
                    int64_t group_size = 0);

}  // namespace ascend_sim::opapi
