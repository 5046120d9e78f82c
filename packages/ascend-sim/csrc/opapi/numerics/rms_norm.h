// SPDX-License-Identifier: Apache-2.0
//
// RMS norm as a step of other operators: over the last dimension, in float32, not rounded.
// aclnnRmsNorm itself, which is rounded row by row, is in norm.cpp.
#pragma once

#include <ATen/ATen.h>

namespace ascend_sim::opapi {

// What a row is multiplied with, [..., 1].
inline at::Tensor RmsFactors(const at::Tensor& x, double epsilon) {
  const auto squares = x.to(at::kFloat).square();
  return at::rsqrt(squares.mean(-1, /*keepdim=*/true) + epsilon);
}

inline at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& gamma, double epsilon) {
  return x.to(at::kFloat) * RmsFactors(x, epsilon) * gamma.to(at::kFloat);
}

}  // namespace ascend_sim::opapi
