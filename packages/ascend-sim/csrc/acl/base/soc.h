// SPDX-License-Identifier: Apache-2.0
//
// What is known about the chips that can be simulated.
#pragma once

#include <cstdint>
#include <string>

namespace ascend_sim {

// What chips of one generation have in common: limits of a device and what its firmware can do.
// Numbers are those that CANN documents or that its runtime configures for the generation.
struct SocFamily {
  int64_t streams;      // hardware queues (SQs)
  int64_t stream_ids;   // ordinary and captured streams
  int64_t queue_depth;  // entries (SQEs) of one hardware queue
  int64_t queue_tasks;  // that a stream accepts before a launch waits
  int64_t sink_tasks;   // of one persistent stream
  int64_t events;
  int64_t notifies;
  int64_t split_reserve;     // entries that a captured stream keeps free before it is split
  int64_t group_nops;        // entries that a task group puts before its tasks
  int64_t allocation_guard;  // bytes that aclrtMalloc adds
  bool software_queues;      // graphs can take queues when they are executed
  bool value_wait;           // words of memory can be written and awaited; memory events
};

struct Soc {
  const char* name;
  int cube_cores;
  int vector_cores;
  int64_t l2_bytes;
  int64_t ub_bytes;
  const SocFamily* family;
};

// Null for an unknown name.
const Soc* FindSoc(const std::string& name);

// The chip of this process's configuration.
const Soc& ThisSoc();

// All names, separated by commas.
std::string SocNames();

}  // namespace ascend_sim
