// SPDX-License-Identifier: Apache-2.0
//
// Settings that callers make at start-up and that have no counterpart in a simulation: they are
// checked, kept where they can be read back, and change nothing else.
#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/runtime/context.h"

using namespace ascend_sim;

// Arithmetic follows IEEE ("infinity and NaN"), mode 1; saturation, mode 0, is not simulated.
ASCEND_SIM_ABI aclError aclrtSetDeviceSatMode(int mode) {
  return Abi("aclrtSetDeviceSatMode", [&] {
    CurrentContext();
    Require(mode == 1, kNotSupported, "only the mode 1 (infinity and NaN) is simulated");
  });
}

// Nothing on a simulated device runs into the time limit of kernels.
ASCEND_SIM_ABI aclError aclrtSetOpExecuteTimeOut(uint32_t) {
  return Abi("aclrtSetOpExecuteTimeOut", [] {});
}

ASCEND_SIM_ABI aclError aclrtSetOpExecuteTimeOutV2(uint64_t timeout, uint64_t* actual) {
  return Abi("aclrtSetOpExecuteTimeOutV2", [&] {
    RequirePtr(actual, "actualTimeout");
    *actual = timeout;
  });
}
