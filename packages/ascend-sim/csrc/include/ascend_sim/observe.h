// SPDX-License-Identifier: Apache-2.0
//
// The seam between libascendcl and a profiler: each task that has run, with its times.
#pragma once

#include <cstdint>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// Times are nanoseconds of the host's wall clock, as torch's profiler has them.
struct TaskRun {
  const char* name;  // static storage
  TaskKind kind;
  int device;
  int stream;
  int64_t begin;
  int64_t end;
};

// Called on worker threads, for any number of tasks at once; must not throw.
using TaskObserver = void (*)(const TaskRun&) noexcept;

// The one observer from now on; null is none, and costs one relaxed load for each task.
ASCEND_SIM_EXPORT void ObserveTasks(TaskObserver observer) noexcept;

}  // namespace ascend_sim
