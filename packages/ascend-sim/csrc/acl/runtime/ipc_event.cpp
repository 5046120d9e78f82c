// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/ipc_event.h"

#include <condition_variable>
#include <mutex>
#include <string>

#include "acl/base/error.h"
#include "acl/task/wait.h"

namespace ascend_sim {

IpcEvent::IpcEvent(std::shared_ptr<ExportTable> table, const ExportKey& key)
    : table_(std::move(table)), key_(key), entry_(table_->EventAt(key.slot)) {}

std::shared_ptr<IpcEvent> IpcEvent::Make() {
  auto table = ExportTable::Own();
  const uint32_t slot = table->TakeEvent(kNoEvent);
  EventEntry& entry = table->EventAt(slot);
  entry.recorded.store(0);
  entry.reached.store(0);
  const ExportKey key{table->Maker(), slot, table->Publish(entry)};
  return std::shared_ptr<IpcEvent>(new IpcEvent(std::move(table), key));
}

std::shared_ptr<IpcEvent> IpcEvent::Open(const ExportKey& key) {
  auto table = ExportTable::Of(key.pid);
  EventEntry& entry = table->EventAt(key.slot);
  uint32_t users = entry.users.load();
  while (users > 0 && !entry.users.compare_exchange_weak(users, users + 1)) {
  }
  if (users > 0 && key.serial != 0 && entry.serial.load() == key.serial) {
    return std::shared_ptr<IpcEvent>(new IpcEvent(std::move(table), key));
  }
  if (users > 0) entry.users.fetch_sub(1);
  Raise(kRtParamInvalid, "the event of this handle was destroyed");
}

IpcEvent::~IpcEvent() { entry_.users.fetch_sub(1); }

uint64_t IpcEvent::Begin() {
  static const ProcessId self = ProcessId::Self();
  entry_.recorder.store(self.pid);
  entry_.recorder_start.store(self.start_time);
  return entry_.recorded.fetch_add(1) + 1;
}

void IpcEvent::Reach(uint64_t version) {
  uint64_t before = entry_.reached.load();
  while (before < version && !entry_.reached.compare_exchange_weak(before, version)) {
  }
}

bool IpcEvent::Await(uint64_t version, const Deadline& deadline) const {
  const auto ready = [&] {
    if (Reached(version)) return true;
    const ProcessId recorder{entry_.recorder.load(), entry_.recorder_start.load()};
    if (recorder.Alive()) return false;
    if (Reached(version)) return true;
    Raise(kInternal, "process " + std::to_string(recorder.pid) +
                         ", which recorded an IPC event, has ended before its stream reached it");
  };
  if (SpinUntil([&] { return Reached(version); })) return true;
  // Nobody of another process can notify: it is looked at now and then.
  std::mutex mutex;
  std::condition_variable never;
  std::unique_lock lock(mutex);
  return WaitUntil(lock, never, deadline, ready, std::chrono::milliseconds(1));
}

}  // namespace ascend_sim
