// SPDX-License-Identifier: Apache-2.0
//
// Whether operators refuse what a device does not accept. The configuration decides at first; tests
// that compare with other numbers than a device's exchange it while the process runs.
#include <atomic>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {
namespace {

std::atomic<bool>& Switch() {
  static std::atomic<bool> on{GetConfig().device_limits};
  return on;
}

}  // namespace

bool DeviceLimits() noexcept {
  try {
    return Switch().load(std::memory_order_relaxed);
  } catch (...) {
    return true;
  }
}

}  // namespace ascend_sim

using namespace ascend_sim;

// Puts the limits in force or lifts them, for all threads, and stores what held before. Calls that
// are on their way may see either.
ASCEND_SIM_ABI aclError ascendSimExchangeDeviceLimits(bool* on) {
  const auto body = [&] {
    RequirePtr(on, "on");
    *on = Switch().exchange(*on);
  };
  return CodeOf("ascendSimExchangeDeviceLimits", body);
}
