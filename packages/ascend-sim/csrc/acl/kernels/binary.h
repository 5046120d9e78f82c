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

// The kernels of one device ELF by key. Immutable; owned by the handle table, by functions and by
// launches.
class Binary {
 public:
  // Copies what it needs. Throws Failure(107000).
  explicit Binary(std::span<const std::byte> elf);

  // Fails with 107000 when there is none.
  const Kernel& Find(uint64_t key) const;
  const Kernel& Find(const char* name) const;

 private:
  std::map<uint64_t, Kernel> kernels_;
};

Handles<Binary>& Binaries();

// Puts a launch of `kernel` with this argument block, which is read during the call, on `stream`. A
// launch that cannot run makes the stream fail, not the call: host stubs print the code of the call
// and their callers go on without the result.
void LaunchKernel(const Kernel& kernel, uint32_t blocks, std::span<const std::byte> block,
                  Stream& stream);

}  // namespace ascend_sim
