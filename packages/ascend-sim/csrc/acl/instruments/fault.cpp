// SPDX-License-Identifier: Apache-2.0
#include "acl/instruments/fault.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/instruments/interpose.h"
#include "acl/observe/faults.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"
#include "acl/task/wait.h"

namespace ascend_sim {
namespace {

enum class Action { kFail, kBreak, kHang, kDie, kLose };

struct ActionName {
  std::string_view name;
  Action action;
};
constexpr ActionName kActions[] = {{"fail", Action::kFail},
                                   {"break", Action::kBreak},
                                   {"hang", Action::kHang},
                                   {"die", Action::kDie},
                                   {"lose", Action::kLose}};

// Kinds of functions, by the beginning of their names. `code` is the kind's failure code, unless
// the fault gives one.
struct Kind {
  std::string_view name;
  int code;
  std::vector<std::string_view> prefixes;
};

constexpr int kHcclInternal = 4;  // HCCL_E_INTERNAL

const std::vector<Kind>& Kinds() {
  static const auto* const kinds = new std::vector<Kind>{
      {"malloc", kMemoryAllocation, {"aclrtMalloc"}},
      {"copy", kDriver, {"aclrtMemcpy", "aclrtMemset"}},
      {"sync", kInternal, {"aclrtSynchronize"}},
      {"stream", kResourceAlloc, {"aclrtCreateStream"}},
      {"event",
       kNoEvent,
       {"aclrtCreateEvent", "aclrtRecordEvent", "aclrtStreamWaitEvent", "aclrtResetEvent"}},
      {"capture", kResourceAlloc, {"aclmdlRICapture"}},
      {"update", kInternal, {"aclmdlRICaptureTaskUpdate"}},
      {"execute", kModelExecute, {"aclmdlRIExecute"}},
      {"launch", kInternal, {"aclnn", "aclrtLaunch", "ascendSimLaunch"}},
      {"collective", kHcclInternal, {"Hccl"}},
      {"any", kInternal, {""}},
  };
  return *kinds;
}

struct Fault {
  uint64_t id = 0;
  std::string text;
  Action action = Action::kFail;
  std::string function;  // or
  const Kind* kind = nullptr;
  uint64_t nth = 1;
  uint64_t every = 0;
  uint64_t from = 0;
  int code = 0;  // 0: the usual one
  size_t bytes = 0;
  int device = -1;

  bool OfTasks() const { return action == Action::kBreak || action == Action::kHang; }

  bool Targets(std::string_view call) const {
    if (kind == nullptr) return call == function;
    for (const std::string_view prefix : kind->prefixes) {
      if (call.starts_with(prefix)) return !call.ends_with("GetWorkspaceSize") || prefix.empty();
    }
    return false;
  }

  // Counts an occasion. Returns whether the fault strikes.
  bool Strikes() {
    const uint64_t now = ++seen;
    const bool strikes = every > 0 ? now % every == 0 : from > 0 ? now >= from : now == nth;
    if (strikes) ++hits;
    return strikes;
  }

  // Guarded by the registry's mutex.
  uint64_t seen = 0;
  uint64_t hits = 0;
  bool removed = false;
};

[[noreturn]] void Reject(const std::string& text, const std::string& why) {
  Raise(kInvalidParam, "fault \"" + text + "\": " + why);
}

uint64_t Number(const std::string& text, std::string_view key, std::string_view value) {
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc{} || stop != value.data() + value.size()) {
    Reject(text, std::string(key) + " must be a whole number, not \"" + std::string(value) + "\"");
  }
  return number;
}

uint64_t Positive(const std::string& text, std::string_view key, std::string_view value) {
  const uint64_t number = Number(text, key, value);
  if (number == 0) Reject(text, std::string(key) + " counts from 1");
  return number;
}

Action ActionOf(const std::string& text, std::string_view name) {
  for (const auto& known : kActions) {
    if (known.name == name) return known.action;
  }
  Reject(text, "the action must be fail, break, hang, die or lose, as in fail:malloc");
}

void SetTarget(Fault& fault, std::string_view target) {
  std::string names;
  for (const Kind& kind : Kinds()) {
    if (kind.name == target) fault.kind = &kind;
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
  }
  fault.function = target;
  const bool function =
      target.starts_with("acl") || target.starts_with("Hccl") || target.starts_with("ascendSim");
  if (fault.kind == nullptr && !function) {
    Reject(fault.text, "the target must be an ABI function or one of the kinds " + names);
  }
}

void SetKey(Fault& fault, std::string_view key, std::string_view value) {
  const std::string& text = fault.text;
  if (key == "nth") {
    fault.nth = Positive(text, key, value);
  } else if (key == "every") {
    fault.every = Positive(text, key, value);
  } else if (key == "from") {
    fault.from = Positive(text, key, value);
  } else if (key == "bytes") {
    fault.bytes = Positive(text, key, value);
  } else if (key == "device") {
    fault.device = static_cast<int>(Number(text, key, value));
  } else if (key == "code") {
    const int named = CodeNamed(value);
    fault.code = named > 0 ? named : static_cast<int>(Positive(text, key, value));
  } else {
    Reject(text, "the keys are nth, every, from, code, bytes and device, not \"" +
                     std::string(key) + "\"");
  }
}

Fault Parse(const std::string& text) {
  Fault fault;
  fault.text = text;
  const size_t colon = text.find(':');
  if (colon == std::string::npos) Reject(text, "it is ACTION:TARGET[,KEY=VALUE]...");
  fault.action = ActionOf(text, std::string_view(text).substr(0, colon));
  std::string_view rest = std::string_view(text).substr(colon + 1);
  const auto next = [&rest] {
    const size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    return part;
  };
  SetTarget(fault, next());
  int occasions = 0;
  while (!rest.empty()) {
    const std::string_view part = next();
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) Reject(text, "a setting is KEY=VALUE");
    const std::string_view key = part.substr(0, equals);
    SetKey(fault, key, part.substr(equals + 1));
    occasions += key == "nth" || key == "every" || key == "from" ? 1 : 0;
  }
  if (occasions > 1) Reject(text, "only one of nth, every and from");
  if (fault.code != 0 && fault.action != Action::kFail && fault.action != Action::kBreak) {
    Reject(text, "only fail and break have a code");
  }
  if (fault.bytes > 0 &&
      (fault.OfTasks() || fault.kind == nullptr || fault.kind->name != "malloc") &&
      !fault.function.starts_with("aclrtMalloc")) {
    Reject(text, "bytes is for allocations: malloc, or a function aclrtMalloc...");
  }
  return fault;
}

// All faults of this process, and the devices lost to them. Faults of the configuration are there
// from the start.
class Registry {
 public:
  Registry() {
    std::string_view texts = GetConfig().faults;
    while (!texts.empty()) {
      const size_t end = texts.find(';');
      Add(std::string(texts.substr(0, end)));
      texts = end == std::string_view::npos ? std::string_view() : texts.substr(end + 1);
    }
  }

  uint64_t Add(const std::string& text) {
    auto fault = std::make_shared<Fault>(Parse(text));
    const std::lock_guard lock(mutex_);
    fault->id = ++last_id_;
    faults_.push_back(std::move(fault));
    return last_id_;
  }

  uint64_t Remove(uint64_t id) {
    const std::lock_guard lock(mutex_);
    uint64_t hits = 0;
    std::erase_if(faults_, [&](const auto& fault) {
      if (fault->id != id) return false;
      hits = fault->hits;
      fault->removed = true;
      return true;
    });
    lost_.erase(id);
    changed_.notify_all();
    return hits;
  }

  uint64_t Hits(uint64_t id) {
    const std::lock_guard lock(mutex_);
    for (const auto& fault : faults_) {
      if (fault->id == id) return fault->hits;
    }
    Raise(kInvalidParam, "no such fault: it was removed");
  }

  bool Empty() {
    const std::lock_guard lock(mutex_);
    return faults_.empty();
  }

  void OnCall(std::string_view call, Device* device) {
    const std::lock_guard lock(mutex_);
    const int id = device == nullptr ? -1 : device->MachineId();
    for (const auto& fault : faults_) {
      if (fault->OfTasks() || fault->bytes > 0 || !fault->Targets(call)) continue;
      if (fault->device >= 0 && fault->device != id) continue;
      if (fault->Strikes()) Strike(*fault, device);
    }
    if (device != nullptr && Lost(*device) && !Survives(call)) RaiseLost(*device);
  }

  void OnAllocation(size_t bytes, Device* device) {
    const std::lock_guard lock(mutex_);
    const int id = device == nullptr ? -1 : device->MachineId();
    for (const auto& fault : faults_) {
      if (fault->bytes == 0 || bytes < fault->bytes || !fault->Targets(CurrentCall())) continue;
      if (fault->device >= 0 && fault->device != id) continue;
      if (fault->Strikes()) Strike(*fault, device);
    }
  }

  void OnTask(Device& device, const Task& task) {
    std::unique_lock lock(mutex_);
    for (size_t i = 0; i < faults_.size(); ++i) {
      const auto fault = faults_[i];
      if (!fault->OfTasks() || !fault->Targets(task.name)) continue;
      if ((fault->device >= 0 && fault->device != device.MachineId()) || !fault->Strikes())
        continue;
      if (fault->action == Action::kBreak) Strike(*fault, &device, kAicoreException);
      WaitUntil(lock, changed_, std::nullopt, [&] { return fault->removed; });
      return;
    }
  }

 private:
  // `usual`: the code if neither the fault nor its kind has one.
  void Strike(const Fault& fault, Device* device, int usual = 0) {
    switch (fault.action) {
      case Action::kDie:
        kill(getpid(), SIGKILL);
        return;
      case Action::kLose:
        Require(device != nullptr, kContextNull,
                "the fault loses the current device, but this thread has none");
        lost_.insert({fault.id, device->MachineId()});
        device->RecordFailure(kLostHeartbeat, "the device was lost (fault \"" + fault.text + "\")");
        return;
      default:
        break;
    }
    int code = fault.code;
    if (code == 0) code = usual;
    if (code == 0) code = fault.kind != nullptr ? fault.kind->code : CodeOfFunction(fault.function);
    Raise(code, "fault \"" + fault.text + "\"");
  }

  static int CodeOfFunction(std::string_view function) {
    int code = kInternal;
    for (const Kind& kind : Kinds()) {  // the last kind that fits is the narrowest but for "any"
      if (kind.name == "any") break;
      for (const auto prefix : kind.prefixes) {
        if (function.starts_with(prefix)) code = kind.code;
      }
    }
    return code;
  }

  bool Lost(const Device& device) const {
    for (const auto& [fault, id] : lost_) {
      if (id == device.MachineId()) return true;
    }
    return false;
  }

  // Calls with which a process leaves a lost device, and calls that do not involve the device.
  static bool Survives(std::string_view call) {
    return call.starts_with("aclrtResetDevice") || call == "aclFinalize" ||
           call == "aclrtSetDevice" || call == "aclrtGetDevice";
  }

  [[noreturn]] static void RaiseLost(const Device& device) {
    Raise(kLostHeartbeat,
          "device " + std::to_string(device.MachineId()) + " no longer answers: it was lost");
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Fault>> faults_;
  std::map<uint64_t, int> lost_;  // fault that did it, device
  uint64_t last_id_ = 0;
};

// Throws each time if the configuration, or a fault in it, is invalid.
Registry& TheRegistry() {
  static auto* const registry = new Registry;
  return *registry;
}

Device* DeviceOfThread() {
  const auto& context = ThisThread().context;
  return context == nullptr || context->Released() ? nullptr : &context->OnDevice();
}

}  // namespace

uint64_t AddFault(const std::string& text) {
  const uint64_t id = TheRegistry().Add(text);
  RefreshInterposed();
  return id;
}

uint64_t RemoveFault(uint64_t id) {
  const uint64_t hits = TheRegistry().Remove(id);
  RefreshInterposed();
  return hits;
}

uint64_t FaultHits(uint64_t id) { return TheRegistry().Hits(id); }

bool FaultsInstalled() { return !TheRegistry().Empty(); }

void FaultOnCall(const char* call) { TheRegistry().OnCall(call, DeviceOfThread()); }

namespace {

class InstalledFaults final : public Faults {
 public:
  void OnTask(Device& device, const Task& task) override { TheRegistry().OnTask(device, task); }
  void OnAllocation(size_t bytes) override { TheRegistry().OnAllocation(bytes, DeviceOfThread()); }
};

const bool fault_attached = Slot<Faults>::Attach([]() -> Faults* { return new InstalledFaults; });

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

// These functions are not subject to faults.
ASCEND_SIM_ABI aclError ascendSimAddFault(const char* text, uint64_t* id) {
  const auto body = [&] {
    RequirePtr(text, "fault");
    RequirePtr(id, "id");
    *id = AddFault(text);
  };
  return CodeOf("ascendSimAddFault", body);
}

ASCEND_SIM_ABI aclError ascendSimRemoveFault(uint64_t id, uint64_t* hits) {
  const auto body = [&] {
    const uint64_t struck = RemoveFault(id);
    if (hits != nullptr) *hits = struck;
  };
  return CodeOf("ascendSimRemoveFault", body);
}

ASCEND_SIM_ABI aclError ascendSimFaultHits(uint64_t id, uint64_t* hits) {
  const auto body = [&] {
    RequirePtr(hits, "hits");
    *hits = FaultHits(id);
  };
  return CodeOf("ascendSimFaultHits", body);
}
