// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>

namespace ascend_sim {

// What the two kinds of cores of a device signal each other through. Bodies need no signals, so all
// kernels are given these words.
inline std::array<uint64_t, 8>& SignalWords() {
  static std::array<uint64_t, 8> words{};
  return words;
}

}  // namespace ascend_sim
