// SPDX-License-Identifier: Apache-2.0
//
// Operands in the type that a device computes in: float32 for half precision, which rounds the
// result once, where ATen's functions on the CPU round each step or take no half precision at all.
// They are dense, since ATen's normalisations read statistics as if they were.
#pragma once

#include <ATen/ATen.h>
#include <ATen/OpMathType.h>

#include <optional>

namespace ascend_sim::opapi {

inline at::Tensor Wide(const at::Tensor& tensor) {
  return tensor.to(at::toOpMathType(tensor.scalar_type())).contiguous();
}
inline std::optional<at::Tensor> Wide(const std::optional<at::Tensor>& tensor) {
  return tensor ? std::optional(Wide(*tensor)) : std::nullopt;
}

}  // namespace ascend_sim::opapi
