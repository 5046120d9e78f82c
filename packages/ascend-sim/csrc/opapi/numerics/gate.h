// SPDX-License-Identifier: Apache-2.0
//
// Gated activations of two parts of the last dimension.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "opapi/numerics/parts.h"

namespace ascend_sim::opapi {

struct Gate {
  bool activate_left;
  int64_t mode = 0;  // 0: silu(a) * b; 1, 2: clamped, of interleaved columns or of halves
  double limit = 0, alpha = 0, bias = 0;
};

inline at::Tensor Apply(const Gate& gate, const at::Tensor& values) {
  at::Tensor activated, linear;
  if (gate.mode == 1) {
    activated = values.slice(-1, 0, INT64_MAX, 2);
    linear = values.slice(-1, 1, INT64_MAX, 2);
  } else {
    const auto halves = Halves(values, -1);
    activated = halves[gate.activate_left ? 0 : 1];
    linear = halves[gate.activate_left ? 1 : 0];
  }
  if (gate.mode == 0) return at::silu(activated) * linear;
  activated = activated.clamp_max(gate.limit);
  linear = linear.clamp(-gate.limit, gate.limit);
  return activated * at::sigmoid(activated * gate.alpha) * (linear + gate.bias);
}

}  // namespace ascend_sim::opapi
