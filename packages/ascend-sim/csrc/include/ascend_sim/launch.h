// SPDX-License-Identifier: Apache-2.0
//
// The seam between libascendcl and the libraries that put work on its streams (libopapi, libhccl).
//
// libascendcl owns streams, ordering, capture and error state; it knows nothing of tensors. An
// operator library turns an aclnn call into a Task and hands it over here. Everything below is
// exported from libascendcl.so and safe to call from any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#define ASCEND_SIM_EXPORT __attribute__((visibility("default")))

namespace ascend_sim {

enum class TaskKind {
  kKernel,
  kMemcpy,
  kMemset,
  kHostFunc,
  kEventRecord,
  kEventWait,
  kEventReset,
  kValueWrite,
  kValueWait,
  kCommunication  // waits for other ranks
};

// Memory that a task reads, or reads and writes.
struct Touch {
  const void* begin;
  size_t bytes;
  bool write;
};
using Touches = std::vector<Touch>;

// True when somebody looks at what tasks touch (`--check hazards`); otherwise nobody need say.
ASCEND_SIM_EXPORT bool TouchesWanted() noexcept;

// What a task throws whose arguments cannot be computed with, whatever memory holds: a device would
// have refused the call in its first phase (161002). The next synchronization says so, once, and
// the device goes on.
class ASCEND_SIM_EXPORT Refusal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One unit of device work. `run` may be called any number of times (a captured task runs once per
// replay), on a worker thread, with no lock held and no GIL. It owns all it needs except device
// memory. It throws to fail; the text of the exception becomes the device's error, surfacing at the
// next synchronization. A Refusal does not stay.
struct Task {
  const char* name;  // static storage: the ABI function that launched it, e.g. "aclnnAdd"
  TaskKind kind;
  std::function<void()> run;
  std::shared_ptr<const Touches> touches = nullptr;  // null: not said
  // True when `run` waits for something other than memory: a peer, a host thread. Other streams run
  // meanwhile, whatever the schedule. The waits of this library say so by themselves.
  bool waits = false;
};

// Puts `task` on `stream` (an aclrtStream; null is the current context's default stream): queues
// it, or records it when the stream is capturing or updating a task group. Returns ACL_SUCCESS or
// the code the calling ABI function must return. Never throws.
ASCEND_SIM_EXPORT int Launch(void* stream, Task task) noexcept;

// Sets the calling thread's text for aclGetRecentErrMsg and returns `code`, so that a failing ABI
// function can say `return Fail(107000, "aclnnAdd", "self is null")`.
ASCEND_SIM_EXPORT int Fail(int code, const char* call, const std::string& why) noexcept;

// False with compute=off: kernels are launched, ordered and counted, but their bodies must not run.
// The runtime skips the bodies of kKernel tasks itself; synchronous kernels that bypass Launch ask
// here.
ASCEND_SIM_EXPORT bool ComputeEnabled() noexcept;

// True with limits=device, unless the program lifted them since: operators refuse what they compute
// but a device does not, such as a dtype. What would need another computation is refused always.
ASCEND_SIM_EXPORT bool DeviceLimits() noexcept;

// True with numerics=npu: where a device is known to round differently from ATen, so does the
// simulator.
ASCEND_SIM_EXPORT bool NpuNumerics() noexcept;

}  // namespace ascend_sim
