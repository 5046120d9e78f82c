// SPDX-License-Identifier: Apache-2.0
//
// IPC events: the part in memory that processes share. A record counts up when it is called and
// says so when it is reached; a wait binds to the count at the time it is called.
#pragma once

#include <cstdint>
#include <memory>

#include "acl/base/clock.h"
#include "acl/machine/export_table.h"

namespace ascend_sim {

// Safe from any thread. Goes with the last process that has it.
class IpcEvent {
 public:
  // A new one, or the one of a key; fails with 107000 when that is gone.
  static std::shared_ptr<IpcEvent> Make();
  static std::shared_ptr<IpcEvent> Open(const ExportKey& key);
  ~IpcEvent();
  IpcEvent(const IpcEvent&) = delete;
  IpcEvent& operator=(const IpcEvent&) = delete;

  ExportKey Key() const { return key_; }

  // A record is called; returns its version, which is reached later.
  uint64_t Begin();
  void Reach(uint64_t version);
  // The version of the latest record; 0 before the first.
  uint64_t Latest() const { return entry_.recorded.load(); }
  bool Reached(uint64_t version) const { return entry_.reached.load() >= version; }

  // False at the deadline. Fails with 507000 when the process that recorded it has ended before.
  bool Await(uint64_t version, const Deadline& deadline = std::nullopt) const;

 private:
  IpcEvent(std::shared_ptr<ExportTable> table, const ExportKey& key);

  const std::shared_ptr<ExportTable> table_;
  const ExportKey key_;
  EventEntry& entry_;
};

}  // namespace ascend_sim
