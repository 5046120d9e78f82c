// SPDX-License-Identifier: Apache-2.0
//
// What a process lets others open: blocks of device memory, physical memory, IPC events. They are
// entries of a table in a memory file of the process that made them; whoever has a key opens that
// file through /proc/PID/fd. Nothing of it has a name in the file system, so nothing is left behind
// by a process that is killed.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "ascend_sim/process.h"

namespace ascend_sim {

// Names one export among all processes of the host. Fits into the 64 bits of a shareable handle.
struct ExportKey {
  int32_t pid = 0;
  uint32_t slot = 0;
  uint32_t serial = 0;  // tells it from what had the slot before

  uint64_t Packed() const;
  static ExportKey Unpack(uint64_t packed);

  // As text, for keys that are strings: at most 64 characters.
  std::string Text() const;
  // Fails with 107000 for any other text.
  static ExportKey Parse(const char* text, size_t room);
};

// A slot of a table: free without users; the maker is one.
struct ExportEntry {
  std::atomic<uint32_t> users;
  std::atomic<uint32_t> serial;  // 0 while the rest is not written
};

// A part of a file of the maker that is device memory. Changed by its maker only.
struct MemoryEntry : ExportEntry {
  static constexpr size_t kAllowed = 16;

  int32_t file;
  int32_t device;
  uint64_t offset;
  uint64_t size;
  std::atomic<bool> for_all;  // or only for these processes
  std::atomic<int32_t> allowed[kAllowed];
};

// The state of an IPC event (ipc_event.h): how often it was recorded, and how far that got.
struct EventEntry : ExportEntry {
  std::atomic<uint64_t> recorded;
  std::atomic<uint64_t> reached;
  std::atomic<int32_t> recorder;  // the process of the latest record
  std::atomic<uint64_t> recorder_start;
};

// One mapping of a table. Safe from any thread and between processes.
class ExportTable {
 public:
  // Of this process; made at the first use.
  static std::shared_ptr<ExportTable> Own();
  // Of a process; fails with 107000 when it shows nothing or has ended.
  static std::shared_ptr<ExportTable> Of(int32_t pid);
  ~ExportTable();
  ExportTable(const ExportTable&) = delete;
  ExportTable& operator=(const ExportTable&) = delete;

  MemoryEntry& MemoryAt(uint32_t slot);
  EventEntry& EventAt(uint32_t slot);

  // A free slot, now used by this process and without a serial; throws `code` when there is none.
  uint32_t TakeMemory(int code);
  uint32_t TakeEvent(int code);
  // A serial that no entry of this table had; the entry can be opened from then on.
  uint32_t Publish(ExportEntry& entry);

  int32_t Maker() const;

 private:
  struct Layout;
  explicit ExportTable(int file);
  static std::shared_ptr<ExportTable> Make();

  Layout* layout_;
};

// Memory of this process that others may open, until this object goes.
class MemoryExport {
 public:
  MemoryExport(int file, size_t offset, size_t size, int device, bool for_all);
  ~MemoryExport();
  MemoryExport(const MemoryExport&) = delete;
  MemoryExport& operator=(const MemoryExport&) = delete;

  ExportKey Key() const { return key_; }
  // Processes that may open it; fails with 107000 when they are too many.
  void Allow(const int32_t* pids, size_t count);

 private:
  const std::shared_ptr<ExportTable> table_;
  ExportKey key_;
};

// What a key opens. The file is the caller's to close.
struct OpenedMemory {
  int file;
  int device;
  size_t offset;
  size_t size;
};
// Fails with 107000 when the key was closed, is not for this process, or its maker has ended.
OpenedMemory OpenMemory(const ExportKey& key);

}  // namespace ascend_sim
