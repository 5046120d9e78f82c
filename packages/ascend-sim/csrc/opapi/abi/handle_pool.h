// SPDX-License-Identifier: Apache-2.0
//
// Memory for the handles of one type: a range of addresses that nothing else ever uses. Callers
// pass pointers; the address tells whether one is a handle, and a slot stays readable after its
// handle is destroyed.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "ascend_sim/launch.h"

namespace ascend_sim::opapi {

// Safe from any thread.
class ASCEND_SIM_EXPORT HandlePool {
 public:
  static constexpr size_t kSlotBytes = 256;

  HandlePool();
  HandlePool(const HandlePool&) = delete;
  HandlePool& operator=(const HandlePool&) = delete;

  // A slot for `size` bytes; throws std::bad_alloc when there is none.
  void* Take(size_t size);
  void Give(void* slot);

  // True if `address` is that of a slot, in use or not.
  bool Owns(const void* address) const;

 private:
  char* base_;
  std::mutex mutex_;
  size_t used_ = 0;          // slots that were ever taken
  std::vector<void*> free_;  // of these
};

}  // namespace ascend_sim::opapi
