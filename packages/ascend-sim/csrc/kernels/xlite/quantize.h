// SPDX-License-Identifier: Apache-2.0
//
// Rows of int8 products in bf16.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {

// How many of `rows` a kernel works on: experts learn on the device how many they have.
inline int64_t RowsInUse(int64_t rows, const uint32_t* count) {
  return count == nullptr ? rows : std::min<int64_t>(rows, *count);
}

// out = in, each row times its scale (null: none). `out` may be `in`.
void DequantizeRows(const Half* in, const float* scales, BFloat16* out, int64_t rows,
                    int64_t columns);

}  // namespace ascend_sim::kernels::xlite
