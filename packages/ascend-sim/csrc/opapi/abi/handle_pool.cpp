// SPDX-License-Identifier: Apache-2.0
#include "opapi/abi/handle_pool.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace ascend_sim::opapi {
namespace {

constexpr size_t kSlots = size_t{1} << 20;  // pages come at their first use

}  // namespace

HandlePool::HandlePool() {
  void* base = mmap(nullptr, kSlots * kSlotBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(base);
}

void* HandlePool::Take(size_t size) {
  if (size > kSlotBytes) throw std::bad_alloc();
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    void* slot = free_.back();
    free_.pop_back();
    return slot;
  }
  if (used_ == kSlots) throw std::bad_alloc();
  return base_ + kSlotBytes * used_++;
}

void HandlePool::Give(void* slot) {
  const std::lock_guard lock(mutex_);
  free_.push_back(slot);
}

bool HandlePool::Owns(const void* address) const {
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(base_);
  return offset < kSlots * kSlotBytes && offset % kSlotBytes == 0;
}

}  // namespace ascend_sim::opapi
