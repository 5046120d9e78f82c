// SPDX-License-Identifier: Apache-2.0
//
// The addresses of device memory: a range of the process that nothing else ever has. An address in
// it that belongs to no block was freed, which for the host's heap could not be told.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>

namespace ascend_sim {

// In bytes, of device memory and of pinned host memory: torch_npu expects no less.
inline constexpr size_t kMemoryAlignment = 512;

// Safe from any thread. Pages come at their first use and go with their block. They are those of a
// memory file, so that another process can map a block (ipc_memory.cpp); a fork has its own, empty.
class Arena {
 public:
  // `bytes` of addresses; less if the system does not have so many.
  explicit Arena(size_t bytes);
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Aligned to kMemoryAlignment, the lowest that fit; throws std::bad_alloc when none do.
  void* Take(size_t bytes);
  // What Take() returned, and with the same size.
  void Give(void* block, size_t bytes);

  bool Contains(const void* address) const;

  // The memory file, in which `address` is so many bytes from the start; -1 in a fork.
  int File() const { return file_; }
  size_t OffsetOf(const void* address) const { return static_cast<const char*>(address) - base_; }

  // In the child of a fork: what the parent has must not change with it.
  void LeaveToParent();

 private:
  char* base_ = nullptr;
  size_t bytes_ = 0;
  int file_ = -1;
  std::mutex mutex_;
  std::map<char*, size_t> free_;  // by address; never two that touch
};

// The one of this process, for all devices; never destroyed.
Arena& DeviceArena();

}  // namespace ascend_sim
