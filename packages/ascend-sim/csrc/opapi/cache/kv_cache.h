// SPDX-License-Identifier: Apache-2.0
//
// The paged key/value cache, for the operators that fill it with what they compute.
#pragma once

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// Copies rows [tokens, heads, size] to their slots of a cache of the fractal layout,
// [blocks, heads * size / c, block_size, c] with c elements side by side: the row of a token is in
// as many pieces. A negative slot is skipped. `what` names the cache in errors.
void ScatterFractals(const Tensor& rows, const Tensor& slots, Tensor& cache, const char* what);

}  // namespace ascend_sim::opapi
