// SPDX-License-Identifier: Apache-2.0
//
// Where launches on a stream go before its queue: a capture, a model that is being built, or the
// update of a task group. Graphs, which build on the runtime, implement it (acl/graph).
#pragma once

#include <atomic>

#include "acl/base/task_detail.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

// Owned by its stream. May be asked from any thread.
class LaunchTarget {
 public:
  virtual ~LaunchTarget() = default;

  // False, at the cost of one load: launches go straight to the queue, and the stream takes part in
  // nothing that is asked for below.
  bool Active() const { return active_.load(std::memory_order_acquire); }

  // What becomes of a launch. True: `task` was recorded. False: `task` is to be queued; in an
  // update it has become the work that replaces a task of the group. Throws what the launching call
  // must return.
  virtual bool Take(Task& task, TaskDetail detail) = 0;

  virtual bool IsCapturing() const = 0;
  // Part of a model: bound to one that is built, or what a graph keeps in a captured stream's
  // place.
  virtual bool IsBound() const = 0;

 protected:
  void SetActive(bool active) { active_.store(active, std::memory_order_release); }

 private:
  std::atomic<bool> active_{false};
};

}  // namespace ascend_sim
