// SPDX-License-Identifier: Apache-2.0
#include "ascend_sim/launch.h"
namespace ascend_sim {
bool TouchesWanted() noexcept { return false; }
}  // namespace ascend_sim
