// SPDX-License-Identifier: Apache-2.0
//
// What the binary of an Ascend C program says of its kernels. It is an ELF file for a machine that
// is not this one; only its symbols are read, and nothing in it is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ascend_sim {

struct DeviceKernel {
  std::string symbol;  // without what tells the halves of a mixed kernel apart
  std::string name;    // as in the source: the symbol without its key
  // By which launches name it within its binary; nullopt: by its symbol only.
  std::optional<uint64_t> key;
  // Uses both kinds of cores: its argument block begins with an address for their signals.
  bool mixed = false;
  std::optional<uint32_t> block_bytes;  // of the argument block; nullopt: the binary does not say
};

// What stands in front of the arguments of a mixed kernel.
inline constexpr size_t kSignalBytes = 8;

// The kernels in the file's order, each once. A file that is cut off or contradicts itself throws
// Failure(107000) with what is wrong.
std::vector<DeviceKernel> ReadKernels(std::span<const std::byte> elf);

}  // namespace ascend_sim
