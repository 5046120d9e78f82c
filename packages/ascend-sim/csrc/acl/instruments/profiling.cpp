// SPDX-License-Identifier: Apache-2.0
//
// aclprof*: the profiling session of a process. It is opened, started, stopped and closed as on a
// device, but collects nothing: the files of CANN's profiler are meant for its own tools. What
// torch_npu.profiler records on the host is complete without them.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/base/handle.h"
#include "acl/runtime/device.h"

namespace ascend_sim {
namespace {

// What to collect. It holds no data; the session compares its address.
struct ProfilingConfig {};

Handles<const ProfilingConfig>& Configs() {
  static auto* const configs = new Handles<const ProfilingConfig>("profiling configuration", 10);
  return *configs;
}

// The session between aclprofInit and aclprofFinalize.
struct Session {
  std::mutex mutex;
  bool open = false;
  std::shared_ptr<const ProfilingConfig> running;

  static Session& This() {
    static auto* const session = new Session;
    return *session;
  }
};

void TellWhatIsMissing() {
  static std::once_flag told;
  std::call_once(told, [] {
    std::fputs(
        "[ascend-sim] profiling: nothing of the device is collected, only what torch_npu records "
        "of the host; torch.profiler and `ascend-sim run --timeline` have the kernels\n",
        stderr);
  });
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclprofInit(const char* folder, size_t length) {
  return Abi("aclprofInit", [&] {
    RequirePtr(folder, "profilerResultPath");
    Require(length > 0, kInvalidParam, "length is 0: the path of the results is empty");
    Session& session = Session::This();
    const std::lock_guard lock(session.mutex);
    Require(!session.open, kRepeatInitialize, "profiling is already initialized");
    session.open = true;
  });
}

ASCEND_SIM_ABI aclError aclprofFinalize() {
  return Abi("aclprofFinalize", [&] {
    Session& session = Session::This();
    const std::lock_guard lock(session.mutex);
    Require(session.open, kProfilingNotRunning, "aclprofInit was not called");
    session.open = false;
    session.running = nullptr;
  });
}

// Takes devices, metrics, events and types of data. Returns null on an error, and leaves its text
// for aclGetRecentErrMsg.
ASCEND_SIM_ABI void* aclprofCreateConfig(const uint32_t* devices, uint32_t number, int, const void*,
                                         uint64_t) {
  void* handle = nullptr;
  Abi("aclprofCreateConfig", [&] {
    Require(number == 0 || devices != nullptr, kInvalidParam, "deviceIdList is null");
    Require(number <= Devices().size(), kInvalidParam,
            "deviceNums is larger than the number of devices");
    for (uint32_t i = 0; i < number; ++i) DeviceAt(devices[i]);  // refuses those that are not there
    void* const token = Configs().Reserve();
    Configs().Add(token, std::make_shared<const ProfilingConfig>());
    handle = token;
  });
  return handle;
}

ASCEND_SIM_ABI aclError aclprofDestroyConfig(const void* handle) {
  return Abi("aclprofDestroyConfig", [&] {
    Configs().Get(handle);
    Configs().Remove(handle);
  });
}

ASCEND_SIM_ABI aclError aclprofStart(const void* handle) {
  return Abi("aclprofStart", [&] {
    auto config = Configs().Get(handle);
    Session& session = Session::This();
    const std::lock_guard lock(session.mutex);
    Require(session.open, kProfilingNotRunning, "call aclprofInit before aclprofStart");
    Require(session.running == nullptr, kProfilingRunning, "profiling is already running");
    session.running = std::move(config);
    TellWhatIsMissing();
  });
}

ASCEND_SIM_ABI aclError aclprofStop(const void* handle) {
  return Abi("aclprofStop", [&] {
    const auto config = Configs().Get(handle);
    Session& session = Session::This();
    const std::lock_guard lock(session.mutex);
    Require(session.running == config, kProfilingNotRunning,
            "profiling was not started with this configuration");
    session.running = nullptr;
  });
}
