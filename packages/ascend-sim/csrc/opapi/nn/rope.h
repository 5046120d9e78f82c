// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embedding, for the operators that fuse it with others.
#pragma once

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// x [..., n] with the first half of its elements rotated against the second.
Tensor HalfRope(const Tensor& x, const Tensor& cos, const Tensor& sin);

// x [..., n] with its pairs side by side, rotated and left with their first elements in one half
// and their second ones in the other (the documented formula of npu_interleave_rope).
Tensor InterleaveRope(const Tensor& x, const Tensor& cos, const Tensor& sin);

}  // namespace ascend_sim::opapi
