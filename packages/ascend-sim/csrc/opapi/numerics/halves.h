// SPDX-License-Identifier: Apache-2.0
//
// The halves of a dimension, as gated activations and rotary embeddings take them.
#pragma once

#include <ATen/ATen.h>

#include <array>

namespace ascend_sim::opapi {

inline std::array<at::Tensor, 2> Halves(const at::Tensor& tensor, int64_t dim) {
  TORCH_CHECK(tensor.dim() > 0 && tensor.size(dim) % 2 == 0, "the size of dimension ", dim,
              " must be even, in shape ", tensor.sizes());
  const auto half = tensor.size(dim) / 2;
  return {tensor.narrow(dim, 0, half), tensor.narrow(dim, half, half)};
}

}  // namespace ascend_sim::opapi
