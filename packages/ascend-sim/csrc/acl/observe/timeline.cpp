// SPDX-License-Identifier: Apache-2.0
#include "acl/observe/timeline.h"

namespace ascend_sim {

std::string TrackName(int machine_id, const char* kind, int64_t number) {
  return "NPU " + std::to_string(machine_id) + " " + kind + " " + std::to_string(number);
}

const char* CategoryOf(TaskKind kind) {
  switch (kind) {
    case TaskKind::kKernel:
      return "kernel";
    case TaskKind::kMemcpy:
      return "memcpy";
    case TaskKind::kMemset:
      return "memset";
    case TaskKind::kHostFunc:
      return "host function";
    case TaskKind::kEventRecord:
    case TaskKind::kEventReset:
      return "event";
    case TaskKind::kValueWrite:
      return "value";
    case TaskKind::kCommunication:
      return "communication";
    case TaskKind::kEventWait:
    case TaskKind::kValueWait:
      return "wait";
  }
  return "task";
}

}  // namespace ascend_sim
