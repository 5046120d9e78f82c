// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/event.h"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include "acl/observe/counters.h"
#include "acl/runtime/graph_layer.h"
#include "acl/runtime/ipc_event.h"
#include "acl/runtime/stream.h"
#include "acl/task/wait_limit.h"

namespace ascend_sim {
namespace {

std::shared_ptr<Event> UncapturedEvent(aclrtEvent handle) {
  auto event = Events().Get(handle);
  TheGraphLayer().RequireNotCaptured(*event);
  if (Schedule* schedule = Schedule::Get()) schedule->OnQuery();
  return event;
}

// The time of an event's completed record; `which` names the event in messages.
Clock::time_point TimeOf(const Event& event, const char* which) {
  const auto version = event.Latest();
  if (!version) Raise(kInternal, std::string(which) + " event was never recorded");
  if (!event.Has(abi::kEventTimeLine) && event.ModeOf() != Event::Mode::kOld) {
    Raise(kEventTimestampInvalid,
          std::string(which) + " event was created without the time-line flag");
  }
  if (!version->Done()) {
    Raise(kEventNotComplete, std::string(which) + " event is not complete: synchronize it first");
  }
  return version->Time();
}

void RequireNotExternal(const Event& event) {
  Require(event.ModeOf() != Event::Mode::kExternal, kNotSupported,
          "not supported for events with the EXTERNAL flag");
}

// Flags DEVICE_USE_ONLY, EXTERNAL and IPC stand alone.
void CheckFlags(uint32_t flags, uint32_t forbidden) {
  constexpr uint32_t kLoners[] = {abi::kEventDeviceUseOnly, abi::kEventExternal, abi::kEventIpc};
  constexpr uint32_t kAll = abi::kEventSync | abi::kEventCaptureStreamProgress |
                            abi::kEventTimeLine | abi::kEventDeviceUseOnly | abi::kEventExternal |
                            abi::kEventIpc;
  Require(flags != 0 && (flags & ~kAll) == 0, kRtParamInvalid, "the event flag does not exist");
  Require((flags & forbidden) == 0, kRtParamInvalid, "the event flag is not valid in this call");
  for (const uint32_t loner : kLoners) {
    Require((flags & loner) == 0 || flags == loner, kRtParamInvalid,
            "DEVICE_USE_ONLY, EXTERNAL and IPC cannot be combined with other event flags");
  }
}

// Streams of models made with the build interface know only EXTERNAL events.
void RequireUnbound(const Stream& stream) {
  Require(!stream.IsBound(), kNotSupported,
          "only events with the EXTERNAL flag can be used on a stream that is bound to a model");
}

// Records and waits of one event are of one kind for ever, also if the first call failed.
void FixFlag(std::optional<uint32_t>& fixed, uint32_t flag) {
  if (!fixed) fixed = flag;
  Require(*fixed == flag, kRtParamInvalid,
          "the event was used with the other flag before: it keeps the kind of its first use");
}

// There is no time with an event that processes share.
void RequireTimed(const Event& event) {
  RequireNotExternal(event);
  Require(event.ModeOf() != Event::Mode::kIpc, kNotSupported,
          "not supported for events with the IPC flag");
}

bool Complete(const Event& event) {
  if (const auto& ipc = event.Ipc()) return ipc->Reached(ipc->Latest());
  const auto version = event.Latest();
  if (!version) return event.ModeOf() == Event::Mode::kEx;
  if (!version->Done()) return false;
  version->Learn();
  return true;
}

bool AwaitLatest(const Event& event, const Deadline& deadline) {
  if (const auto& ipc = event.Ipc()) return ipc->Await(ipc->Latest(), deadline);
  const auto version = event.Latest();
  return !version || version->Wait(deadline);
}

void SynchronizeEvent(aclrtEvent handle, const Deadline& deadline) {
  const auto event = UncapturedEvent(handle);
  RequireNotExternal(*event);
  Add(Count().synchronizations);
  Require(AwaitLatest(*event, deadline), kEventSyncTimeout, "the event was not reached in time");
  event->OnDevice().ThrowReport();
}

void Create(aclrtEvent* out, Event::Mode mode, uint32_t flags, Event::Ids ids,
            std::shared_ptr<IpcEvent> ipc = nullptr) {
  void* handle = Events().Reserve();
  Events().Add(handle,
               std::make_shared<Event>(CurrentContext(), handle, mode, flags, ids, std::move(ipc)));
  Add(Count().events_created);
  *out = handle;
}

void CreateIpc(aclrtEvent* out) {
  Create(out, Event::Mode::kIpc, abi::kEventIpc, Event::Ids::kAtCreation, IpcEvent::Make());
}

}  // namespace

void EventFlag::Set(bool value) {
  {
    const std::lock_guard lock(mutex_);
    if (OrderObserver* order = OrderObserver::Get()) knowledge_ = order->Publish();
    set_ = value;
  }
  if (value) changed_.notify_all();
}

bool EventFlag::AwaitSet(const Deadline& deadline) { return Await(deadline, /*clear=*/false); }

bool EventFlag::AwaitAndClear(const Deadline& deadline) { return Await(deadline, /*clear=*/true); }

bool EventFlag::Await(const Deadline& deadline, bool clear) {
  std::unique_lock lock(mutex_);
  if (!WaitUntil(lock, changed_, deadline, [this] { return set_; })) return false;
  if (clear) set_ = false;
  if (OrderObserver* order = OrderObserver::Get()) order->Learn(knowledge_);
  return true;
}

bool EventFlag::IsSet() const {
  const std::lock_guard lock(mutex_);
  return set_;
}

Event::Event(std::shared_ptr<Context> context, void* handle, Mode mode, uint32_t flags, Ids ids,
             std::shared_ptr<IpcEvent> ipc)
    : context_(std::move(context)),
      handle_(handle),
      mode_(mode),
      flags_(flags),
      ids_(ids),
      own_id_(ids == Ids::kAtCreation ? Claim(OnDevice().Resources().events) : Claim()),
      flag_(mode == Mode::kExternal ? std::make_shared<EventFlag>() : nullptr),
      ipc_(std::move(ipc)) {}

std::shared_ptr<Signal> Event::Latest() const {
  const std::lock_guard lock(mutex_);
  return latest_;
}

Claim Event::IdForRecord() {
  if (ids_ != Ids::kPerRecord) return {};
  {
    const std::lock_guard lock(mutex_);
    if (latest_ && latest_->Done() && latest_->id.Holds()) return std::move(latest_->id);
  }
  Quota& events = OnDevice().Resources().events;
  for (auto warn_at = Clock::now() + std::chrono::seconds(1);;) {
    if (events.TryTake()) return Claim::Adopt(events);
    Require(!context_->Released(), kContextNull, "the context was destroyed");
    if (Clock::now() > warn_at) {
      warn_at = Clock::time_point::max();
      std::fprintf(stderr,
                   "ascend-sim: a record waits for a hardware event: all %lld of device %d are in "
                   "use, by events that were recorded and not destroyed\n",
                   static_cast<long long>(events.Limit()), OnDevice().Id());
    }
    Pause();
  }
}

std::shared_ptr<Signal> Event::Publish() {
  const std::lock_guard lock(mutex_);
  recorded_on_ = nullptr;
  armed_ = false;
  latest_ = std::make_shared<Version>();
  return latest_;
}

void Event::RecordWithFlag(Stream& stream, uint32_t flag) {
  Require(flag <= abi::kEventUseExternal, kRtParamInvalid, "the flag must be 0 or 1 (external)");
  {
    const std::lock_guard lock(mutex_);
    FixFlag(record_flag_, flag);
  }
  if (flag == abi::kEventUseDefault) return Record(stream);
  TheGraphLayer().UseExternally(stream, *this, /*records=*/true);
}

void Event::WaitWithFlag(Stream& stream, uint32_t flag) {
  Require(flag <= abi::kEventUseExternal, kRtParamInvalid, "the flag must be 0 or 1 (external)");
  {
    const std::lock_guard lock(mutex_);
    FixFlag(wait_flag_, flag);
  }
  if (flag == abi::kEventUseDefault) return Wait(stream);
  TheGraphLayer().UseExternally(stream, *this, /*records=*/false);
}

void Event::RecordIpc(Stream& stream) {
  Require(!stream.Target().Active(), kNotSupported, "IPC events cannot be recorded in a capture");
  const uint64_t version = ipc_->Begin();
  stream.Launch(
      {"aclrtRecordEvent", TaskKind::kEventRecord, [ipc = ipc_, version] { ipc->Reach(version); }});
}

void Event::WaitIpc(Stream& stream) {
  Require(!stream.Target().Active(), kNotSupported, "IPC events cannot be awaited in a capture");
  const uint64_t version = ipc_->Latest();
  if (ipc_->Reached(version)) return;
  Task wait{"aclrtStreamWaitEvent", TaskKind::kEventWait,
            [ipc = ipc_, version, limit = WaitLimit::Current()] {
              limit.Apply([&](const Deadline& deadline) { return ipc->Await(version, deadline); });
            }};
  wait.waits = true;
  stream.Launch(std::move(wait), /*may_block=*/true);
}

void Event::Record(Stream& stream) {
  if (ipc_) return RecordIpc(stream);
  if (flag_) {
    stream.Launch({"aclrtRecordEvent", TaskKind::kEventRecord, [flag = flag_] { flag->Set(true); }},
                  /*may_block=*/false, Detail());
    return;
  }
  RequireUnbound(stream);
  if (TheGraphLayer().Record(stream, *this)) return;
  Claim id = IdForRecord();
  std::shared_ptr<Version> version;
  {
    const std::lock_guard lock(mutex_);
    if (!armed_) latest_ = std::make_shared<Version>();
    latest_->id = std::move(id);
    armed_ = false;
    recorded_on_ = &stream;
    version = latest_;
  }
  stream.Launch({"aclrtRecordEvent", TaskKind::kEventRecord, [version] { version->Set(); }});
}

void Event::Wait(Stream& stream) {
  if (ipc_) return WaitIpc(stream);
  if (flag_) {
    stream.Launch(
        {"aclrtStreamWaitEvent", TaskKind::kEventWait,
         [flag = flag_, limit = WaitLimit::Current()] {
           limit.Apply([&](const Deadline& deadline) { return flag->AwaitSet(deadline); });
         }},
        /*may_block=*/true, Detail());
    return;
  }
  RequireUnbound(stream);
  if (TheGraphLayer().Wait(stream, *this)) return;
  std::shared_ptr<Signal> version;
  {
    const std::lock_guard lock(mutex_);
    Require(latest_ != nullptr || mode_ == Mode::kEx, kRtParamInvalid,
            "the event was never recorded; only Ex events may be awaited before that");
    if (latest_ == nullptr || (recorded_on_ == &stream && !armed_)) return;
    // Only to know what is ordered, a wait for what is complete must be there too.
    if (latest_->Done() && OrderObserver::Get() == nullptr) return;
    version = latest_;
  }
  stream.Launch({"aclrtStreamWaitEvent", TaskKind::kEventWait,
                 [version, limit = WaitLimit::Current()] {
                   limit.Apply([&](const Deadline& deadline) { return version->Wait(deadline); });
                 }},
                /*may_block=*/true);
}

void Event::Reset(Stream& stream) {
  Require(mode_ != Mode::kEx && mode_ != Mode::kIpc, kNotSupported,
          "Ex and IPC events cannot be reset: a new record replaces the old one");
  if (flag_) {
    stream.Launch({"aclrtResetEvent", TaskKind::kEventReset, [flag = flag_] { flag->Set(false); }},
                  /*may_block=*/false, Detail());
    return;
  }
  Require(!stream.Target().Active(), kNotSupported,
          "this kind of event cannot be used in a capture");
  const std::lock_guard lock(mutex_);
  if (armed_) return;
  latest_ = std::make_shared<Version>();
  armed_ = true;
}

Handles<Event>& Events() {
  static auto* const events = new Handles<Event>("event", 3);
  return *events;
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtCreateEventExWithFlag(aclrtEvent* event, uint32_t flags) {
  return Abi("aclrtCreateEventExWithFlag", [&] {
    RequirePtr(event, "event");
    CheckFlags(flags, abi::kEventExternal | abi::kEventDeviceUseOnly);
    if (flags == abi::kEventIpc) return CreateIpc(event);
    const bool can_order = (flags & abi::kEventSync) != 0;
    Create(event, Event::Mode::kEx, flags, can_order ? Event::Ids::kPerRecord : Event::Ids::kNone);
  });
}

ASCEND_SIM_ABI aclError aclrtCreateEventWithFlag(aclrtEvent* event, uint32_t flags) {
  return Abi("aclrtCreateEventWithFlag", [&] {
    RequirePtr(event, "event");
    CheckFlags(flags, 0);
    if (flags == abi::kEventIpc) return CreateIpc(event);
    const bool external = flags == abi::kEventExternal;
    const bool can_order = external || (flags & abi::kEventSync) != 0;
    Create(event, external ? Event::Mode::kExternal : Event::Mode::kOld, flags,
           can_order ? Event::Ids::kAtCreation : Event::Ids::kNone);
  });
}

ASCEND_SIM_ABI aclError aclrtCreateEvent(aclrtEvent* event) {
  return Abi("aclrtCreateEvent", [&] {
    RequirePtr(event, "event");
    Create(event, Event::Mode::kOld, abi::kEventTimeLine | abi::kEventCaptureStreamProgress,
           Event::Ids::kPerRecord);
  });
}

ASCEND_SIM_ABI aclError aclrtDestroyEvent(aclrtEvent event) {
  return Abi("aclrtDestroyEvent", [&] {
    Events().Get(event);
    Events().Remove(event);
  });
}

ASCEND_SIM_ABI aclError aclrtRecordEvent(aclrtEvent event, aclrtStream stream) {
  return Abi("aclrtRecordEvent", [&] { Events().Get(event)->Record(*StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclrtRecordEventWithFlag(aclrtEvent event, aclrtStream stream,
                                                 uint32_t flag) {
  return Abi("aclrtRecordEventWithFlag",
             [&] { Events().Get(event)->RecordWithFlag(*StreamArg(stream), flag); });
}

// A time limit is taken for waits outside graphs only, and never reached: nothing is lost there.
ASCEND_SIM_ABI aclError aclrtStreamWaitEventWithFlag(aclrtStream stream, aclrtEvent event,
                                                     uint32_t timeout, uint32_t flag) {
  return Abi("aclrtStreamWaitEventWithFlag", [&] {
    const auto awaited = Events().Get(event);
    Require(flag == abi::kEventUseDefault || timeout == 0, kRtParamInvalid,
            "the timeout of an external wait must be 0");
    awaited->WaitWithFlag(*StreamArg(stream), flag);
  });
}

ASCEND_SIM_ABI aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event) {
  return Abi("aclrtStreamWaitEvent", [&] { Events().Get(event)->Wait(*StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclrtResetEvent(aclrtEvent event, aclrtStream stream) {
  return Abi("aclrtResetEvent", [&] { Events().Get(event)->Reset(*StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeEventWithTimeout(aclrtEvent handle, int32_t timeout) {
  return Abi("aclrtSynchronizeEventWithTimeout",
             [&] { SynchronizeEvent(handle, DeadlineFrom(timeout)); });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeEvent(aclrtEvent event) {
  return Abi("aclrtSynchronizeEvent", [&] { SynchronizeEvent(event, std::nullopt); });
}

ASCEND_SIM_ABI aclError aclrtQueryEventStatus(aclrtEvent handle, int* status) {
  return Abi("aclrtQueryEventStatus", [&] {
    RequirePtr(status, "status");
    const auto event = UncapturedEvent(handle);
    RequireNotExternal(*event);
    *status = Complete(*event) ? abi::kRecordedComplete : abi::kRecordedNotReady;
  });
}

ASCEND_SIM_ABI aclError aclrtQueryEvent(aclrtEvent handle, int* status) {
  return Abi("aclrtQueryEvent", [&] {
    RequirePtr(status, "status");
    const auto event = UncapturedEvent(handle);
    Require(event->ModeOf() == Event::Mode::kOld, kNotSupported,
            "only for events of aclrtCreateEvent: use aclrtQueryEventStatus");
    const auto version = event->Latest();
    *status = version && version->Done() ? abi::kEventStatusComplete : abi::kEventStatusNotReady;
  });
}

ASCEND_SIM_ABI aclError aclrtQueryEventWaitStatus(aclrtEvent handle, int* status) {
  return Abi("aclrtQueryEventWaitStatus", [&] {
    RequirePtr(status, "status");
    const auto event = UncapturedEvent(handle);
    Require(event->ModeOf() == Event::Mode::kOld, kNotSupported,
            "only for events of aclrtCreateEvent: use aclrtQueryEventStatus");
    const auto version = event->Latest();
    *status = version && version->Done() ? abi::kWaitStatusComplete : abi::kWaitStatusNotReady;
  });
}

ASCEND_SIM_ABI aclError aclrtEventElapsedTime(float* milliseconds, aclrtEvent start,
                                              aclrtEvent end) {
  return Abi("aclrtEventElapsedTime", [&] {
    RequirePtr(milliseconds, "ms");
    const auto first = UncapturedEvent(start);
    const auto last = UncapturedEvent(end);
    RequireTimed(*first);
    RequireTimed(*last);
    const std::chrono::duration<float, std::milli> elapsed =
        TimeOf(*last, "the end") - TimeOf(*first, "the start");
    *milliseconds = elapsed.count();
  });
}

// Microseconds of the host's steady clock.
ASCEND_SIM_ABI aclError aclrtEventGetTimestamp(aclrtEvent handle, uint64_t* timestamp) {
  return Abi("aclrtEventGetTimestamp", [&] {
    RequirePtr(timestamp, "timestamp");
    const auto event = UncapturedEvent(handle);
    RequireTimed(*event);
    const auto time = TimeOf(*event, "the").time_since_epoch();
    *timestamp = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  });
}

ASCEND_SIM_ABI aclError aclrtIpcGetEventHandle(aclrtEvent event, abi::IpcEventHandle* handle) {
  return Abi("aclrtIpcGetEventHandle", [&] {
    RequirePtr(handle, "handle");
    const auto shared = Events().Get(event);
    Require(shared->Ipc() != nullptr, kNotSupported, "the event was not made with the IPC flag");
    std::memset(handle, 0, sizeof *handle);
    shared->Ipc()->Key().Text().copy(handle->reserved, sizeof handle->reserved - 1);
  });
}

ASCEND_SIM_ABI aclError aclrtIpcOpenEventHandle(abi::IpcEventHandle handle, aclrtEvent* event) {
  return Abi("aclrtIpcOpenEventHandle", [&] {
    RequirePtr(event, "event");
    const ExportKey key = ExportKey::Parse(handle.reserved, sizeof handle.reserved);
    Create(event, Event::Mode::kIpc, abi::kEventIpc, Event::Ids::kNone, IpcEvent::Open(key));
  });
}
