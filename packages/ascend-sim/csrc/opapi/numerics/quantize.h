// SPDX-License-Identifier: Apache-2.0
//
// Rounding to few bits, shared by the operators that quantize.
#pragma once

#include <ATen/ATen.h>

namespace ascend_sim::opapi {

// Rounds half to even and saturates to `type`, which is an integer type.
at::Tensor RoundTo(const at::Tensor& values, at::ScalarType type);

struct Quantized {
  at::Tensor values, scale;
};

// scale = max |row| / 127, values = round(row / scale), for every row of the last dimension. A row
// of zeros has scale 0 and stays zeros.
Quantized QuantizeRows(const at::Tensor& rows, int64_t largest = 127);

struct QuantizedAsymmetric {
  at::Tensor values, scale, offset;
};

// scale = (max - min) / 255, offset = 127 - max / scale, values = round(row / scale + offset).
QuantizedAsymmetric QuantizeRowsAsymmetric(const at::Tensor& rows, int64_t smallest = -128,
                                           int64_t largest = 127);

// Eight int4 of the last dimension in one int32, the first in the lowest bits; and back, as int8.
inline constexpr int64_t kInt4PerInt32 = 8;
at::Tensor PackInt4(const at::Tensor& values);
at::Tensor UnpackInt4(const at::Tensor& packed);

// Rounds values into `y`: to its own integer type or, packed, to int4 in int32.
void StoreIntegers(at::Tensor& y, const at::Tensor& values, bool int4);

}  // namespace ascend_sim::opapi
