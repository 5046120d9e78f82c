// SPDX-License-Identifier: Apache-2.0
//
// Other processes of this host, and whether they still live.
#pragma once

#include <cstdint>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// A process. Its start time tells it from a later one with the same number.
struct ASCEND_SIM_EXPORT ProcessId {
  int32_t pid = 0;
  uint64_t start_time = 0;  // in clock ticks since the host was started

  static ProcessId Self();

  // False once it has ended, even if its parent has not asked for its status yet.
  bool Alive() const;
};

}  // namespace ascend_sim
