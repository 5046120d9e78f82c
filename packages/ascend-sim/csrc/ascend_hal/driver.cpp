// SPDX-License-Identifier: Apache-2.0
//
// libascend_hal: what profilers ask the driver. There is no driver here, and so no system counter
// of a device whose frequency it could tell; torch_npu then takes the host's monotonic clock, which
// is the clock of every other record.
#include <cstdint>

#include "abi/acl.h"
#include "ascend_sim/call.h"

namespace {

enum DriverCode : int { kNone = 0, kInvalidValue = 3, kNotSupported = 0xfffe };

// The last interface before the one from which torch_npu reads the system counter (7.25.5).
constexpr int kVersion = 0x071904;

int Refuse(DriverCode code, const char* call, const char* why) {
  ascend_sim::Fail(code, call, why);
  return code;
}

}  // namespace

ASCEND_SIM_ABI int halGetAPIVersion(int* version) {
  return ascend_sim::Call("halGetAPIVersion", [&]() noexcept -> int {
    if (version == nullptr) return Refuse(kInvalidValue, "halGetAPIVersion", "version is null");
    *version = kVersion;
    return kNone;
  });
}

ASCEND_SIM_ABI int halGetDeviceInfo(uint32_t, int32_t, int32_t, int64_t* value) {
  return ascend_sim::Call("halGetDeviceInfo", [&]() noexcept -> int {
    if (value == nullptr) return Refuse(kInvalidValue, "halGetDeviceInfo", "value is null");
    return Refuse(kNotSupported, "halGetDeviceInfo", "there is no driver to ask");
  });
}
