// SPDX-License-Identifier: Apache-2.0
//
// What happened in this process, as named numbers, which are always counted. They live in one block
// of memory, which is a file when a counters directory is configured, so that other processes can
// read them at any time, even after this one was killed.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace ascend_sim {

// One line per counter; the order is the order in the block.
#define ASCEND_SIM_COUNTERS(X)                                                               \
  X(tasks_launched)       /* work put on streams, without graph replays */                   \
  X(kernels_launched)     /* the part of it that was kernels */                              \
  X(tasks_captured)       /* work recorded into graphs */                                    \
  X(tasks_failed)         /* bodies that threw */                                            \
  X(graphs_captured)      /* successful aclmdlRICaptureEnd */                                \
  X(graphs_destroyed)     /* successful aclmdlRIDestroy */                                   \
  X(graph_executions)     /* accepted aclmdlRIExecuteAsync */                                \
  X(graph_tasks_replayed) /* tasks run by them */                                            \
  X(graph_overlaps)       /* replays that met a running one of the same graph */             \
  X(task_updates)         /* tasks of a group replaced */                                    \
  X(bytes_copied)         /* by memcpy of any kind */                                        \
  X(bytes_allocated)      /* device memory in use now */                                     \
  X(bytes_allocated_peak) /* its largest value */                                            \
  X(streams_created)                                                                         \
  X(events_created)                                                                          \
  X(hazards) /* see acl/instruments/hazard.h; every time, also when it is not named again */ \
  X(synchronizations) /* host waits for a stream, an event or the device */

struct Counters {
#define ASCEND_SIM_COUNTER_FIELD(name) std::atomic<uint64_t>* name;
  ASCEND_SIM_COUNTERS(ASCEND_SIM_COUNTER_FIELD)
#undef ASCEND_SIM_COUNTER_FIELD
};

// The counters of this process; made at the first call, never destroyed.
const Counters& Count();

inline void Add(std::atomic<uint64_t>* counter, uint64_t amount = 1) {
  counter->fetch_add(amount, std::memory_order_relaxed);
}

// Counts one launch of the operation `name` (static storage).
void CountOp(const char* name);

}  // namespace ascend_sim
