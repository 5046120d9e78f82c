// SPDX-License-Identifier: Apache-2.0
//
// Where faults (acl/instruments/fault.h) meet work and allocations. They meet calls in
// ascend_sim/call.h, whose flag says whether there are any.
#pragma once

#include <cstddef>

#include "acl/observe/slot.h"
#include "ascend_sim/call.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Device;

// Safe from any thread.
class Faults {
 public:
  virtual ~Faults() = default;
  // Throw the failure that a fault plans for a task that is about to run, or for an allocation.
  virtual void OnTask(Device& device, const Task& task) = 0;
  virtual void OnAllocation(size_t bytes) = 0;
};

inline void FaultOnTask(Device& device, const Task& task) {
  if (interposed.load(std::memory_order_relaxed)) [[unlikely]]
    Slot<Faults>::Get()->OnTask(device, task);
}

inline void FaultOnAllocation(size_t bytes) {
  if (interposed.load(std::memory_order_relaxed)) [[unlikely]]
    Slot<Faults>::Get()->OnAllocation(bytes);
}

}  // namespace ascend_sim
