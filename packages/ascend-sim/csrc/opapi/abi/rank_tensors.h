// SPDX-License-Identifier: Apache-2.0
//
// Tensors between ranks, for bodies of operators that communicate.
#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <vector>

#include "ascend_sim/rank_group.h"

namespace ascend_sim::opapi {

// Gives every rank its part: tensors that differ in their first dimension only.
inline std::vector<at::Tensor> Exchange(RankGroup& group, const std::vector<at::Tensor>& parts) {
  TORCH_CHECK(parts.size() == group.Ranks(), "there are ", parts.size(), " parts for ",
              group.Ranks(), " ranks");
  RankGroup::Parts sends;
  for (const auto& part : parts) {
    const auto dense = part.contiguous();
    const auto* bytes = static_cast<const std::byte*>(dense.const_data_ptr());
    sends.emplace_back(bytes, bytes + dense.nbytes());
  }
  std::vector<at::Tensor> received;
  for (const auto& bytes : group.AllToAll(std::move(sends))) {
    at::DimVector sizes(parts[0].sizes());
    const auto row = c10::multiply_integers(sizes.begin() + 1, sizes.end()) *
                     static_cast<int64_t>(parts[0].element_size());
    if (row > 0) sizes[0] = static_cast<int64_t>(bytes.size()) / row;
    auto tensor = at::empty(sizes, parts[0].options());
    std::memcpy(tensor.data_ptr(), bytes.data(), bytes.size());
    received.push_back(std::move(tensor));
  }
  return received;
}

}  // namespace ascend_sim::opapi
