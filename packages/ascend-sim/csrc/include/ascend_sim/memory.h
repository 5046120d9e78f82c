// SPDX-License-Identifier: Apache-2.0
//
// For libraries that read and write memory on behalf of the device: what the device can reach.
#pragma once

#include <cstddef>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// True when all of `bytes` bytes from `begin` are in live blocks of device memory, or of host
// memory that is pinned or registered.
ASCEND_SIM_EXPORT bool DeviceCanReach(const void* begin, size_t bytes) noexcept;

}  // namespace ascend_sim
