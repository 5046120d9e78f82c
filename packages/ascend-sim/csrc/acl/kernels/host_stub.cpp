// SPDX-License-Identifier: Apache-2.0
//
// What else the host stubs of Ascend C call, of CANN's profiler, log and platform libraries. What
// they register is never called back: it serves printf in kernels and the profiler of a device.
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include "abi/acl.h"
#include "acl/base/error.h"

using namespace ascend_sim;

ASCEND_SIM_ABI int MsprofRegisterCallback(uint32_t, const void*) {
  return Abi("MsprofRegisterCallback", [] {});
}

ASCEND_SIM_ABI int aclrtRegStreamStateCallback(const char*, const void*, void*) {
  return Abi("aclrtRegStreamStateCallback", [] {});
}

ASCEND_SIM_ABI int rtRegStreamStateCallback(const char*, const void*) {
  return Abi("rtRegStreamStateCallback", [] {});
}

ASCEND_SIM_ABI int mmGetTid() { return static_cast<int>(syscall(SYS_gettid)); }

// No level of CANN's log is on, so nobody comes to the functions that write it.
ASCEND_SIM_ABI int AlogCheckDebugLevel(uint32_t, int) { return 0; }
ASCEND_SIM_ABI int CheckLogLevel(int, int) { return 0; }
