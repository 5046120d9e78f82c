// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/arena.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "acl/base/config.h"

namespace ascend_sim {
namespace {

constexpr size_t kPage = 4096;

size_t Rounded(size_t bytes) {
  return (bytes + kMemoryAlignment - 1) / kMemoryAlignment * kMemoryAlignment;
}

// Gives the whole pages of a freed block back to the system.
void DropPages(char* block, size_t bytes) {
  const auto first = (reinterpret_cast<uintptr_t>(block) + kPage - 1) / kPage * kPage;
  const auto last = (reinterpret_cast<uintptr_t>(block) + bytes) / kPage * kPage;
  // Small blocks are used again soon: the system call would cost more than the memory.
  constexpr size_t kWorthIt = 32 * kPage;
  if (last > first && last - first >= kWorthIt) {
    madvise(reinterpret_cast<void*>(first), last - first, MADV_REMOVE);
  }
}

}  // namespace

Arena::Arena(size_t bytes) {
  constexpr size_t kLeast = size_t{64} << 20;
  file_ = memfd_create("ascend-sim-device-memory", MFD_CLOEXEC);
  void* base = MAP_FAILED;
  for (; base == MAP_FAILED && bytes >= kLeast; bytes /= 2) {
    bytes_ = bytes;
    if (ftruncate(file_, static_cast<off_t>(bytes)) != 0) continue;
    base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
  }
  if (base == MAP_FAILED) throw std::bad_alloc();
  madvise(base, bytes_, MADV_DONTDUMP);
  base_ = static_cast<char*>(base);
  free_.emplace(base_, bytes_);
}

void* Arena::Take(size_t bytes) {
  bytes = Rounded(bytes);
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(free_.begin(), free_.end(),
                                  [&](const auto& extent) { return extent.second >= bytes; });
  if (found == free_.end()) throw std::bad_alloc();
  const auto [block, size] = *found;
  free_.erase(found);
  if (size > bytes) free_.emplace(block + bytes, size - bytes);
  return block;
}

void Arena::Give(void* address, size_t bytes) {
  auto* block = static_cast<char*>(address);
  bytes = Rounded(bytes);
  DropPages(block, bytes);
  const std::lock_guard lock(mutex_);
  auto next = free_.lower_bound(block);
  if (next != free_.end() && block + bytes == next->first) {
    bytes += next->second;
    next = free_.erase(next);
  }
  if (next != free_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == block) {
      before->second += bytes;
      return;
    }
  }
  free_.emplace(block, bytes);
}

bool Arena::Contains(const void* address) const {
  return address >= base_ && address < base_ + bytes_;
}

void Arena::LeaveToParent() {
  mmap(base_, bytes_, PROT_READ | PROT_WRITE,
       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  close(file_);
  file_ = -1;
}

Arena& DeviceArena() {
  // Room for fragments: addresses cost nothing.
  static auto* const arena = [] {
    constexpr size_t kMost = size_t{8} << 40;
    const Config& config = GetConfig();
    const auto devices = static_cast<size_t>(config.devices * config.hbm_bytes);
    pthread_atfork(nullptr, nullptr, [] { DeviceArena().LeaveToParent(); });
    return new Arena(std::min(kMost, std::max(devices * 4, size_t{64} << 30)));
  }();
  return *arena;
}

}  // namespace ascend_sim
