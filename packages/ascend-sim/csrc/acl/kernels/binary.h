// SPDX-License-Identifier: Apache-2.0
//
// Binaries that a program has registered, and the launch of their kernels. Two families of ABI
// functions lead here: rt_front.cpp and acl_front.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "acl/base/handle.h"
#include "acl/kernels/device_elf.h"

namespace ascend_sim {

class Stream;

// One kernel of a binary. `name` has static storage, as tasks need it: they may outlive the binary.
struct Kernel {
  const char* name;
  bool mixed;
  std::optional<uint32_t> block_bytes;
};

// The kernels of one device ELF. Owned by the handle table.
class Binary {
 public:
  // Copies what it needs of `elf`; returns the handle. Throws Failure(107000).
  static void* Register(std::span<const std::byte> elf);
  // With its functions. What was launched is not affected.
  static void Unregister(void* handle);

  ~Binary();
  Binary(const Binary&) = delete;
  Binary& operator=(const Binary&) = delete;

  // The handle of a kernel, in Functions(), for as long as the binary is registered; by the number
  // at the end of its symbol, by its symbol, or by its name. Fails with 107000 when there is none.
  void* Function(uint64_t key) const;
  void* Function(const std::string& symbol_or_name) const;

 private:
  explicit Binary(std::span<const std::byte> elf);

  std::map<uint64_t, void*> by_key_;
  std::map<std::string, void*> by_name_;
};

Handles<Binary>& Binaries();
Handles<const Kernel>& Functions();

// Puts a launch of `kernel` with this argument block, which is read during the call, on `stream`. A
// launch that cannot run makes the stream fail, not the call: host stubs print the code of the call
// and their callers go on without the result.
void LaunchKernel(const Kernel& kernel, uint32_t blocks, std::span<const std::byte> block,
                  Stream& stream);

}  // namespace ascend_sim
