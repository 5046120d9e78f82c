// SPDX-License-Identifier: Apache-2.0
#include "acl/machine/export_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "acl/base/error.h"

namespace ascend_sim {
namespace {

constexpr uint32_t kSlotBits = 16;
constexpr uint32_t kSerialBits = 26;  // and 22 for a process id, the most that Linux gives
constexpr uint32_t kSlots = 1u << kSlotBits;

// Links in /proc/PID/fd show it. Another version of this package has another layout.
constexpr const char* kFileName = "ascend-sim-exports-" ASCEND_SIM_VERSION;
constexpr const char* kKeyPrefix = "ascend-sim-ipc-";

[[noreturn]] void RaiseNotShown(int32_t pid, const char* why) {
  Raise(kRtParamInvalid, "process " + std::to_string(pid) + ", which made the key, " + why);
}

// The table among the open files of a process; -1 when there is none.
int OpenTableOf(int32_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd/";
  const std::string wanted = std::string("/memfd:") + kFileName;
  const std::unique_ptr<DIR, int (*)(DIR*)> files(opendir(folder.c_str()), closedir);
  if (!files) return -1;
  while (const dirent* entry = readdir(files.get())) {
    const std::string path = folder + entry->d_name;
    char target[256] = {};
    if (readlink(path.c_str(), target, sizeof target - 1) <= 0) continue;
    if (std::strncmp(target, wanted.c_str(), wanted.size()) == 0) {
      return open(path.c_str(), O_RDWR | O_CLOEXEC);
    }
  }
  return -1;
}

template <class Entry>
uint32_t TakeSlot(Entry (&entries)[kSlots], int code, const char* what) {
  static std::atomic<uint32_t> next{0};
  for (uint32_t tried = 0; tried < kSlots; ++tried) {
    const uint32_t slot = next.fetch_add(1) % kSlots;
    uint32_t nobody = 0;
    if (!entries[slot].users.compare_exchange_strong(nobody, 1)) continue;
    entries[slot].serial.store(0);
    return slot;
  }
  Raise(code, std::string("this process shares ") + std::to_string(kSlots) + " " + what +
                  " with others: no more can be");
}

}  // namespace

uint64_t ExportKey::Packed() const {
  return (static_cast<uint64_t>(pid) << (kSlotBits + kSerialBits)) |
         (static_cast<uint64_t>(slot) << kSerialBits) | serial;
}

ExportKey ExportKey::Unpack(uint64_t packed) {
  return {static_cast<int32_t>(packed >> (kSlotBits + kSerialBits)),
          static_cast<uint32_t>(packed >> kSerialBits) % kSlots,
          static_cast<uint32_t>(packed) % (1u << kSerialBits)};
}

std::string ExportKey::Text() const {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016lx", Packed());
  return std::string(kKeyPrefix) + digits;
}

ExportKey ExportKey::Parse(const char* text, size_t room) {
  const std::string key(text, strnlen(text, room));
  uint64_t packed = 0;
  int end = 0;
  const std::string format = std::string(kKeyPrefix) + "%16lx%n";
  const bool whole = std::sscanf(key.c_str(), format.c_str(), &packed, &end) == 1 &&
                     static_cast<size_t>(end) == key.size();
  Require(whole, kRtParamInvalid, "the key is none that this simulator made");
  return Unpack(packed);
}

struct ExportTable::Layout {
  ProcessId maker;
  std::atomic<uint32_t> last_serial;
  MemoryEntry memory[kSlots];
  EventEntry events[kSlots];
};

ExportTable::ExportTable(int file) {
  void* memory =
      mmap(nullptr, sizeof(Layout), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  layout_ = static_cast<Layout*>(memory);
}

ExportTable::~ExportTable() { munmap(layout_, sizeof(Layout)); }

// The file stays open as long as the process: it is the way to it.
std::shared_ptr<ExportTable> ExportTable::Make() {
  const int file = memfd_create(kFileName, MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, sizeof(Layout)) != 0) {
    Raise(kMemoryAllocation,
          std::string("no memory to share with other processes: ") + std::strerror(errno));
  }
  std::shared_ptr<ExportTable> table(new ExportTable(file));
  // Not from 1: a key of a process that had this one's number must not fit.
  uint32_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = static_cast<uint32_t>(getpid());
  table->layout_->last_serial.store(seed);
  table->layout_->maker = ProcessId::Self();
  return table;
}

std::shared_ptr<ExportTable> ExportTable::Own() {
  static std::mutex mutex;
  static auto* const own = new std::shared_ptr<ExportTable>;
  const std::lock_guard lock(mutex);
  // A forked process inherits its parent's, which is not its own.
  if (!*own || (*own)->Maker() != getpid()) *own = Make();
  return *own;
}

std::shared_ptr<ExportTable> ExportTable::Of(int32_t pid) {
  if (pid == getpid()) return Own();
  static std::mutex mutex;
  static auto* const known = new std::map<int32_t, std::weak_ptr<ExportTable>>;
  const std::lock_guard lock(mutex);
  auto table = (*known)[pid].lock();
  if (table && table->layout_->maker.Alive()) return table;
  const int file = OpenTableOf(pid);
  if (file < 0) {
    RaiseNotShown(pid,
                  "has ended, shares nothing, or is not to be seen from here: processes that "
                  "share must run under one user and the same version of ascend-sim");
  }
  table.reset(new ExportTable(file));
  close(file);
  if (table->Maker() != pid) RaiseNotShown(pid, "shares nothing itself: it is a fork");
  (*known)[pid] = table;
  return table;
}

MemoryEntry& ExportTable::MemoryAt(uint32_t slot) { return layout_->memory[slot]; }

EventEntry& ExportTable::EventAt(uint32_t slot) { return layout_->events[slot]; }

uint32_t ExportTable::TakeMemory(int code) {
  return TakeSlot(layout_->memory, code, "blocks of memory");
}

uint32_t ExportTable::TakeEvent(int code) { return TakeSlot(layout_->events, code, "events"); }

uint32_t ExportTable::Publish(ExportEntry& entry) {
  uint32_t serial = 0;
  while (serial == 0) serial = (layout_->last_serial.fetch_add(1) + 1) % (1u << kSerialBits);
  entry.serial.store(serial, std::memory_order_release);
  return serial;
}

int32_t ExportTable::Maker() const { return layout_->maker.pid; }

MemoryExport::MemoryExport(int file, size_t offset, size_t size, int device, bool for_all)
    : table_(ExportTable::Own()) {
  const uint32_t slot = table_->TakeMemory(kResourceAlloc);
  MemoryEntry& entry = table_->MemoryAt(slot);
  entry.file = file;
  entry.offset = offset;
  entry.size = size;
  entry.device = device;
  entry.for_all.store(for_all);
  for (auto& pid : entry.allowed) pid.store(0);
  key_ = {table_->Maker(), slot, table_->Publish(entry)};
}

MemoryExport::~MemoryExport() {
  MemoryEntry& entry = table_->MemoryAt(key_.slot);
  entry.serial.store(0);
  entry.users.store(0);
}

void MemoryExport::Allow(const int32_t* pids, size_t count) {
  MemoryEntry& entry = table_->MemoryAt(key_.slot);
  Require(count <= MemoryEntry::kAllowed, kRtParamInvalid,
          "at most 16 processes can be allowed to open one block of memory");
  for (size_t i = 0; i < count; ++i) entry.allowed[i].store(pids[i]);
}

OpenedMemory OpenMemory(const ExportKey& key) {
  const auto table = ExportTable::Of(key.pid);
  MemoryEntry& entry = table->MemoryAt(key.slot);
  const auto is_there = [&] {
    return key.serial != 0 && entry.serial.load(std::memory_order_acquire) == key.serial;
  };
  constexpr const char* kClosed =
      "the key was closed, or the memory freed, by the process that "
      "made it";
  Require(is_there(), kRtParamInvalid, kClosed);
  bool allowed = entry.for_all.load();
  for (auto& pid : entry.allowed) allowed = allowed || pid.load() == getpid();
  Require(allowed, kRtParamInvalid,
          "the process that made the key has not allowed this one to open it");
  const std::string path = "/proc/" + std::to_string(key.pid) + "/fd/" + std::to_string(entry.file);
  const OpenedMemory opened{open(path.c_str(), O_RDWR | O_CLOEXEC), entry.device, entry.offset,
                            entry.size};
  if (opened.file < 0) RaiseNotShown(key.pid, "has ended");
  if (!is_there()) {  // closed meanwhile: the file may be another by now
    close(opened.file);
    Raise(kRtParamInvalid, kClosed);
  }
  return opened;
}

}  // namespace ascend_sim
