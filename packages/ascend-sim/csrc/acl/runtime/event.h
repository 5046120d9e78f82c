// SPDX-License-Identifier: Apache-2.0
//
// Events. A record makes a new version; a wait binds, when it is called, to the version that is
// then the latest. EXTERNAL events are the exception: they are one flag in device memory, set,
// awaited and cleared when tasks run.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "acl/base/handle.h"
#include "acl/base/task_detail.h"
#include "acl/machine/quota.h"
#include "acl/runtime/context.h"
#include "acl/task/wait.h"

namespace ascend_sim {

class Graph;
class IpcEvent;
class Stream;

// The flag of an EXTERNAL event or of a notify; shared with the tasks that use it.
class EventFlag {
 public:
  void Set(bool value);
  // False at the deadline.
  bool AwaitSet(const Deadline& deadline);
  // Likewise, and clears the flag: of several that wait, one goes on.
  bool AwaitAndClear(const Deadline& deadline);
  bool IsSet() const;

 private:
  bool Await(const Deadline& deadline, bool clear);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool set_ = false;
  Knowledge knowledge_;
};

// Owned by the handle table; tasks own only versions and flags, so destroying an event that work
// still refers to is safe.
class Event : public std::enable_shared_from_this<Event> {
 public:
  // kEx: aclrtCreateEventExWithFlag. kOld: the two older calls. kExternal: the old call with the
  // EXTERNAL flag. kIpc: either call with the IPC flag, or opened.
  enum class Mode { kEx, kOld, kExternal, kIpc };

  // When the event takes one of the device's hardware events: for good at its creation, one for
  // each record until a later one or the end of the event makes it useless, or never.
  enum class Ids { kAtCreation, kPerRecord, kNone };

  // `ipc`: the shared-memory part of a kIpc event; null otherwise.
  Event(std::shared_ptr<Context> context, void* handle, Mode mode, uint32_t flags, Ids ids,
        std::shared_ptr<IpcEvent> ipc = nullptr);

  void* Handle() const { return handle_; }
  const std::shared_ptr<Context>& In() const { return context_; }
  Mode ModeOf() const { return mode_; }
  Device& OnDevice() const { return context_->OnDevice(); }
  const std::shared_ptr<IpcEvent>& Ipc() const { return ipc_; }
  bool Has(abi::EventFlag flag) const { return (flags_ & flag) != 0; }
  bool HasOnly(abi::EventFlag flag) const { return flags_ == flag; }

  void Record(Stream& stream);
  void Wait(Stream& stream);
  void Reset(Stream& stream);

  TaskDetail Detail(bool external = false) const { return EventDetail{handle_, flags_, external}; }

  // The latest version; null before the first record.
  std::shared_ptr<Signal> Latest() const;
  // A new version, which a graph will set.
  std::shared_ptr<Signal> Publish();

  // With the flags of the two calls that take one; each is fixed at its first use. External records
  // and waits are work of a graph that is bound to the world outside at each execution.
  void RecordWithFlag(Stream& stream, uint32_t flag);
  void WaitWithFlag(Stream& stream, uint32_t flag);

  // Where in a graph the event was recorded; graph is null outside captures. Guarded by the capture
  // mutex.
  struct Captured {
    std::shared_ptr<Graph> graph;
    size_t lane = 0;
    size_t node = 0;
  } captured;

 private:
  // What one record made; `id` is guarded by the event's mutex.
  struct Version : Signal {
    Claim id;
  };

  void RecordIpc(Stream& stream);
  void WaitIpc(Stream& stream);

  // Waits while the device has none left.
  Claim IdForRecord();

  const std::shared_ptr<Context> context_;
  void* const handle_;
  const Mode mode_;
  const uint32_t flags_;
  const Ids ids_;
  const Claim own_id_;
  const std::shared_ptr<EventFlag> flag_;  // kExternal only
  const std::shared_ptr<IpcEvent> ipc_;    // kIpc only

  mutable std::mutex mutex_;
  std::shared_ptr<Version> latest_;
  const Stream* recorded_on_ = nullptr;  // compared, never followed
  bool armed_ = false;                   // latest_ was made by a reset and waits for its record
  std::optional<uint32_t> record_flag_;
  std::optional<uint32_t> wait_flag_;
};

Handles<Event>& Events();

}  // namespace ascend_sim
