// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/device.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "acl/base/visible_devices.h"
#include "acl/machine/ledger.h"
#include "acl/observe/counters.h"
#include "acl/observe/faults.h"
#include "acl/observe/timeline.h"
#include "acl/runtime/context.h"
#include "acl/runtime/graph_layer.h"
#include "acl/runtime/memory.h"
#include "acl/runtime/stream.h"
#include "acl/task/wait.h"
#include "ascend_sim/observe.h"

namespace ascend_sim {
namespace {

// What a failing task of this kind is reported as.
int FailureCode(TaskKind kind) {
  switch (kind) {
    case TaskKind::kKernel:
      return kAicoreException;
    case TaskKind::kMemcpy:
    case TaskKind::kMemset:
      return kDriver;
    case TaskKind::kCommunication:
      return kFftsPlusTimeout;  // what waiting in vain for another rank ends in on A2
    default:
      return kInternal;
  }
}

std::atomic<TaskObserver> task_observer{nullptr};

// Tells the observer, if there is one, of a task that runs while this lives.
class ObservedRun {
 public:
  ObservedRun(const Task& task, int device, int stream)
      : observer_(task_observer.load(std::memory_order_relaxed)) {
    if (observer_ != nullptr) run_ = {task.name, task.kind, device, stream, Now(), 0};
  }
  ~ObservedRun() {
    if (observer_ == nullptr) return;
    run_.end = Now();
    observer_(run_);
  }
  ObservedRun(const ObservedRun&) = delete;
  ObservedRun& operator=(const ObservedRun&) = delete;

 private:
  static int64_t Now() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
  }

  const TaskObserver observer_;
  TaskRun run_{};
};

// Waits for all streams of the device of this thread.
void SynchronizeDevice(const Deadline& deadline) {
  const auto context = CurrentContext();
  Require(context->capturing_streams->load() == 0, kStreamCaptured,
          "a stream of this context is being captured");
  for (const auto& stream : Streams().All()) {
    if (&stream->OnDevice() == &context->OnDevice()) stream->Synchronize(deadline);
  }
  context->OnDevice().ThrowReport();
}

}  // namespace

void ObserveTasks(TaskObserver observer) noexcept { task_observer.store(observer); }

Device::Device(int id, int machine_id) : id_(id), machine_id_(machine_id), quotas_(machine_id) {}

std::shared_ptr<Context> Device::Open() {
  const std::lock_guard lock(mutex_);
  if (users_++ == 0) primary_ = Context::Make(*this);
  return primary_;
}

void Device::Close(bool force) {
  std::shared_ptr<Context> last;
  {
    const std::lock_guard lock(mutex_);
    Require(users_ > 0, kContextRelease,
            "the device is not in use: every aclrtSetDevice was already reset");
    users_ = force ? 0 : users_ - 1;
    if (users_ > 0) return;
    last = std::move(primary_);
  }
  last->Release();
  FreeDeviceMemory(id_);
  TheGraphLayer().ReturnIdleQueues(*this);
  const std::lock_guard lock(mutex_);
  failed_.store(false);
  failure_code_ = kSuccess;
  failure_why_.clear();
  refused_.store(false);
  refusal_why_.clear();
  for (auto& limit : core_limits) limit.store(0);
}

std::shared_ptr<Context> Device::Primary() const {
  const std::lock_guard lock(mutex_);
  return primary_;
}

void Device::RecordFailure(int code, std::string why) {
  Add(Count().tasks_failed);
  const std::lock_guard lock(mutex_);
  if (failed_.load()) return;
  failure_code_ = code;
  failure_why_ = std::move(why);
  failed_.store(true, std::memory_order_release);
}

void Device::ThrowFailure() const {
  if (!Failed()) return;
  const std::lock_guard lock(mutex_);
  if (failed_.load()) Raise(failure_code_, failure_why_);
}

void Device::RecordRefusal(std::string why) {
  Add(Count().tasks_failed);
  const std::lock_guard lock(mutex_);
  if (refused_.load()) return;  // the first one is reported
  refusal_why_ = std::move(why);
  refused_.store(true, std::memory_order_release);
}

void Device::ThrowReport() {
  ThrowFailure();
  if (!refused_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  if (refused_.exchange(false)) Raise(kAclnnParamInvalid, refusal_why_);
}

std::string Device::ReportedRefusal() const {
  const std::lock_guard lock(mutex_);
  return refusal_why_;
}

void Device::Execute(const Task& task, int32_t stream) {
  const Span span(task.name, CategoryOf(task.kind));
  const ObservedRun observed(task, id_, stream);
  const auto failed = [&](int code, const char* what) {
    RecordFailure(code, std::string("a task of ") + task.name + " failed on device " +
                            std::to_string(id_) + ": " + what +
                            "; the device keeps this error until it is reset");
  };
  try {
    FaultOnTask(*this, task);
    if (task.kind == TaskKind::kKernel && !ComputeEnabled()) return;
    const Schedule::Beside beside(task.waits);
    task.run();
  } catch (const Cancelled&) {
    throw;
  } catch (const Refusal& refusal) {
    RecordRefusal(std::string("a task of ") + task.name + " refused its arguments on device " +
                  std::to_string(id_) + ": " + refusal.what());
  } catch (const Failure& failure) {
    failed(failure.code, failure.why.c_str());
  } catch (const std::exception& error) {
    failed(FailureCode(task.kind), error.what());
  } catch (...) {
    failed(FailureCode(task.kind), "unknown exception");
  }
}

const std::vector<std::unique_ptr<Device>>& Devices() {
  static const auto* const devices = [] {
    TheLedger();  // a ledger that this process cannot share is an error of the first call
    auto made = std::make_unique<std::vector<std::unique_ptr<Device>>>();
    for (const int machine_id : VisibleDevices(static_cast<int>(GetConfig().devices))) {
      made->push_back(std::make_unique<Device>(static_cast<int>(made->size()), machine_id));
    }
    return made.release();
  }();
  return *devices;
}

Device& DeviceAt(int64_t id) {
  const auto& devices = Devices();
  if (id < 0 || id >= static_cast<int64_t>(devices.size())) {
    Raise(kInvalidDeviceId, "device " + std::to_string(id) + " does not exist: there are " +
                                std::to_string(devices.size()));
  }
  return *devices[id];
}

Device& DeviceOnMachine(int machine_id) {
  for (const auto& device : Devices()) {
    if (device->MachineId() == machine_id) return *device;
  }
  return CurrentContext()->OnDevice();
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtGetDeviceCount(uint32_t* count) {
  return Abi("aclrtGetDeviceCount", [&] {
    RequirePtr(count, "count");
    *count = static_cast<uint32_t>(Devices().size());
  });
}

ASCEND_SIM_ABI aclError aclrtSetDevice(int32_t device) {
  return Abi("aclrtSetDevice", [&] { ThisThread().context = DeviceAt(device).Open(); });
}

ASCEND_SIM_ABI aclError aclrtResetDevice(int32_t device) {
  return Abi("aclrtResetDevice", [&] { DeviceAt(device).Close(/*force=*/false); });
}

ASCEND_SIM_ABI aclError aclrtResetDeviceForce(int32_t device) {
  return Abi("aclrtResetDeviceForce", [&] { DeviceAt(device).Close(/*force=*/true); });
}

// Callers also use it to ask whether this thread has a device at all, so a no leaves no error text.
ASCEND_SIM_ABI aclError aclrtGetDevice(int32_t* device) {
  const auto& context = ThisThread().context;
  const auto by_default = context == nullptr ? DefaultDevice() : std::nullopt;
  if (!by_default && (context == nullptr || context->Released())) return kContextNull;
  return Abi("aclrtGetDevice", [&] {
    RequirePtr(device, "device");
    *device = by_default ? *by_default : context->OnDevice().Id();
  });
}

ASCEND_SIM_ABI aclError aclrtGetPrimaryCtxState(int32_t device, uint32_t* flags, int32_t* active) {
  return Abi("aclrtGetPrimaryCtxState", [&] {
    RequirePtr(active, "active");
    *active = DeviceAt(device).Primary() != nullptr ? 1 : 0;
    if (flags != nullptr) *flags = 0;
  });
}

ASCEND_SIM_ABI aclError aclrtGetLogicDevIdByUserDevId(int32_t user, int32_t* logic) {
  return Abi("aclrtGetLogicDevIdByUserDevId", [&] {
    RequirePtr(logic, "logicDevId");
    *logic = DeviceAt(user).MachineId();
  });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
  return Abi("aclrtSynchronizeDeviceWithTimeout",
             [&] { SynchronizeDevice(DeadlineFrom(timeout)); });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeDevice() {
  return Abi("aclrtSynchronizeDevice", [] { SynchronizeDevice(std::nullopt); });
}

ASCEND_SIM_ABI aclError aclrtGetStreamAvailableNum(uint32_t* number) {
  return Abi("aclrtGetStreamAvailableNum", [&] {
    RequirePtr(number, "streamCount");
    *number = static_cast<uint32_t>(CurrentContext()->OnDevice().Resources().queues.Available());
  });
}

ASCEND_SIM_ABI const char* aclrtGetSocName() {
  const char* name = nullptr;
  Abi("aclrtGetSocName", [&] { name = ThisSoc().name; });
  return name;
}

ASCEND_SIM_ABI aclError aclrtGetDeviceInfo(uint32_t device, uint32_t attribute, int64_t* value) {
  return Abi("aclrtGetDeviceInfo", [&] {
    RequirePtr(value, "value");
    DeviceAt(device);
    const Soc& soc = ThisSoc();
    switch (attribute) {
      case abi::kDevAicpuCores:
        *value = 6;
        break;
      case abi::kDevAicoreCores:
      case abi::kDevCubeCores:
        *value = soc.cube_cores;
        break;
      case abi::kDevVectorCores:
        *value = soc.vector_cores;
        break;
      case abi::kDevUbufPerVectorCore:
        *value = soc.ub_bytes;
        break;
      case abi::kDevTotalGlobalMem:
        *value = GetConfig().hbm_bytes;
        break;
      case abi::kDevL2Size:
        *value = soc.l2_bytes;
        break;
      case abi::kDevIsVirtual:
        *value = 0;
        break;
      default:
        Raise(kRtParamInvalid,
              "device attribute " + std::to_string(attribute) + " is not simulated");
    }
  });
}

ASCEND_SIM_ABI aclError aclGetDeviceCapability(uint32_t device, int info, int64_t* value) {
  return Abi("aclGetDeviceCapability", [&] {
    RequirePtr(value, "value");
    DeviceAt(device);
    const Soc& soc = ThisSoc();
    switch (info) {
      case abi::kInfoAiCores:
        *value = soc.cube_cores;
        break;
      case abi::kInfoVectorCores:
        *value = soc.vector_cores;
        break;
      case abi::kInfoL2Size:
        *value = soc.l2_bytes;
        break;
      default:
        Raise(kInvalidParam, "device capability " + std::to_string(info) + " does not exist");
    }
  });
}

// Devices of one host reach each other: all device memory is host memory.
ASCEND_SIM_ABI aclError aclrtDeviceCanAccessPeer(int32_t* can, int32_t device, int32_t peer) {
  return Abi("aclrtDeviceCanAccessPeer", [&] {
    RequirePtr(can, "canAccessPeer");
    DeviceAt(device);
    DeviceAt(peer);
    *can = device != peer ? 1 : 0;
  });
}

ASCEND_SIM_ABI aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t) {
  return Abi("aclrtDeviceEnablePeerAccess", [&] { DeviceAt(peer); });
}

ASCEND_SIM_ABI aclError aclrtDeviceGetBareTgid(int32_t* pid) {
  return Abi("aclrtDeviceGetBareTgid", [&] {
    RequirePtr(pid, "pid");
    *pid = getpid();
  });
}

// Sixteen bytes that name the device within the host.
ASCEND_SIM_ABI aclError aclrtDeviceGetUuid(int32_t device, void* uuid) {
  return Abi("aclrtDeviceGetUuid", [&] {
    RequirePtr(uuid, "uuid");
    char text[17];
    std::snprintf(text, sizeof text, "ascend-sim-%05d", DeviceAt(device).MachineId());
    std::memcpy(uuid, text, 16);
  });
}
