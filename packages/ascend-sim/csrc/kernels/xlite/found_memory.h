// SPDX-License-Identifier: Apache-2.0
//
// Memory that a kernel finds while it runs: by pointers, slots and tables of blocks in device
// memory. A device would read or write wherever they say.
#pragma once

#include <cstddef>
#include <utility>

#include "ascend_sim/kernel.h"
#include "ascend_sim/memory.h"

namespace ascend_sim::kernels::xlite {

// To be told of such memory before it is touched. Throws std::runtime_error where the device cannot
// reach it.
class FoundMemory {
 public:
  // `kernel`: KernelLaunch::Name().
  explicit FoundMemory(const char* kernel) : kernel_(kernel) {}

  // `what` names the memory in the error.
  template <class T>
  void Reads(const char* what, const T* begin, size_t count) {
    Add(what, begin, count * sizeof(T), false);
  }
  template <class T>
  void Writes(const char* what, T* begin, size_t count) {
    Add(what, begin, count * sizeof(T), true);
  }

  // Tells the check of hazards, before the kernel touches any of it.
  void Note() {
    if (!touches_.empty()) NoteTouches(kernel_, std::move(touches_));
    touches_ = {};
  }

 private:
  void Add(const char* what, const void* begin, size_t bytes, bool write) {
    if (!DeviceCanReach(begin, bytes)) {
      throw std::runtime_error(std::string(what) + " is outside device memory");
    }
    if (wanted_) touches_.push_back({begin, bytes, write});
  }

  const char* const kernel_;
  const bool wanted_ = TouchesWanted();
  Touches touches_;
};

}  // namespace ascend_sim::kernels::xlite
