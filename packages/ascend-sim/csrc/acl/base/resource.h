// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace ascend_sim {

// The limited resources of a device. Their names are those of the configuration.
enum class Resource : uint8_t { kStreams, kStreamIds, kEvents, kNotifies, kModels, kHbmBytes };
inline constexpr const char* kResourceNames[] = {"streams",  "stream_ids", "events",
                                                 "notifies", "models",     "hbm_bytes"};
inline constexpr size_t kResources = 6;
static_assert(std::size(kResourceNames) == kResources);

}  // namespace ascend_sim
