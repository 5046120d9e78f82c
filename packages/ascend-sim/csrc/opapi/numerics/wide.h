// SPDX-License-Identifier: Apache-2.0
//
// Operands in the type that a device computes in: float32 for half precision, which rounds the
// result once, where ATen's functions on the CPU round each step or take no half precision at all.
// They are dense, since ATen's normalizations read statistics as if they were.
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

// Lets `add` add to `self`, of half precision to a copy in float32 that is rounded once.
template <class Add>
void Accumulate(at::Tensor& self, Add&& add) {
  const auto type = at::toOpMathType(self.scalar_type());
  if (type == self.scalar_type()) return add(self);
  auto sums = self.to(type);
  add(sums);
  self.copy_(sums);
}

}  // namespace ascend_sim::opapi
