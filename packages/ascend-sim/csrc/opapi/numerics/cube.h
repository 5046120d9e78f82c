// SPDX-License-Identifier: Apache-2.0
//
// The precision of a device's matrix unit ("cube"), which multiplies float32 numbers only when
// asked to keep them.
#pragma once

#include <ATen/ATen.h>

#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

// The parameter cubeMathType of matrix products and convolutions.
class Cube {
 public:
  explicit Cube(int8_t math_type);

  // What an operand becomes before it is multiplied; with `numerics=exact` it stays as it is.
  Tensor operator()(const Tensor& operand) const;

 private:
  int8_t math_type_;
};

template <>
struct Crossing<Cube> {
  static constexpr const char* kKind = Crossing<int8_t>::kKind;
  using C = int8_t;
  static Cube Take(C math_type, size_t) { return Cube(math_type); }
};

}  // namespace ascend_sim::opapi
