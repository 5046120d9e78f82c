// SPDX-License-Identifier: Apache-2.0
//
// Indices for those functions of ATen that write wherever an index says.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

namespace ascend_sim::opapi {

// As int64. For bodies of operators only: it looks at the indices, each of which must be one of
// `count` places, or `ignored`.
inline at::Tensor PlacesAmong(int64_t count, const at::Tensor& indices, const char* name,
                              std::optional<int64_t> ignored = {}) {
  const auto places = indices.to(at::kLong);
  auto wrong = at::logical_or(places < 0, places >= count);
  if (ignored) wrong = at::logical_and(wrong, places != *ignored);
  TORCH_CHECK(!wrong.any().item<bool>(), name, " must be from 0 to ", count - 1);
  return places;
}

}  // namespace ascend_sim::opapi
