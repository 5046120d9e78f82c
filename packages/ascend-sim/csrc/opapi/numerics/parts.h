// SPDX-License-Identifier: Apache-2.0
//
// Equal parts of a dimension, as gated activations, rotary embeddings and recurrent cells take
// them.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <utility>

namespace ascend_sim::opapi {

template <size_t kCount>
std::array<at::Tensor, kCount> Parts(const at::Tensor& tensor, int64_t dim) {
  constexpr auto kParts = static_cast<int64_t>(kCount);
  TORCH_CHECK(tensor.dim() > 0 && tensor.size(dim) % kParts == 0, "the size of dimension ", dim,
              " must be a multiple of ", kParts, ", in shape ", tensor.sizes());
  const auto size = tensor.size(dim) / kParts;
  return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    return std::array{tensor.narrow(dim, static_cast<int64_t>(kIndex) * size, size)...};
  }(std::make_index_sequence<kCount>{});
}

inline std::array<at::Tensor, 2> Halves(const at::Tensor& tensor, int64_t dim) {
  return Parts<2>(tensor, dim);
}

}  // namespace ascend_sim::opapi
