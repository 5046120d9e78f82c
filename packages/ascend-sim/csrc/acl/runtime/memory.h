// SPDX-License-Identifier: Apache-2.0
//
// Device memory and pinned host memory: where an address belongs decides how it may be copied.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ascend_sim {

enum class MemoryKind { kPageable, kPinned, kDevice };

struct MemoryInfo {
  MemoryKind kind = MemoryKind::kPageable;
  int device = 0;
  const void* base = nullptr;
  size_t size = 0;
  uint64_t serial = 0;  // of the allocation: no two have the same
};

// What is known of the block around `address`; memory this library did not make is pageable.
MemoryInfo Describe(const void* address);

// Fails with 107000 unless all of `count` bytes from `address` are memory: of one kind, in adjacent
// blocks, where this library knows it, and mapped into the process where it does not.
void RequireMemory(const void* address, size_t count, const char* what);

// Enters or removes a range made elsewhere (mapped virtual memory).
void EnterMemory(void* base, size_t size, MemoryKind kind, int device);
void RemoveMemory(void* base);

// The keys of a block that is being freed open nothing any more.
void CloseExportsOf(const void* base);

// Frees what a device that is being reset still has.
void FreeDeviceMemory(int device);

// Accounts device memory in the counters; `bytes` is negative when it is given back.
void CountDeviceBytes(int64_t bytes);

}  // namespace ascend_sim
