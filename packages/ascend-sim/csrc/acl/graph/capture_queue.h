// SPDX-License-Identifier: Apache-2.0
//
// The hidden streams behind a captured stream: the device resources they take, and how full they
// are. When the last one is full, the next task goes to a new one, which the full one activates (a
// cascade).
#pragma once

#include <cstdint>
#include <vector>

#include "acl/machine/quota.h"

namespace ascend_sim {

class Context;

// Whether graphs take hardware queues at their first execution. If not, the configuration or the
// chip makes them take queues when streams are captured.
bool SoftwareQueues();

// Fails with 207000 if they do not: `what` needs it.
void RequireSoftwareQueues(const char* what);

// Owned by a lane of a graph. Guarded by the capture mutex until the capture ends, and immutable
// afterwards.
class CaptureQueue {
 public:
  // Takes the first stream of `context`. Fails with 207008 or 207005 if there is none.
  explicit CaptureQueue(Context& context);

  // Makes room for a task of `entries` queue entries, with another stream if necessary. Fails as
  // the constructor does.
  void Add(int64_t entries = 1);

  // Hidden streams, each of which needs a hardware queue.
  int64_t Streams() const { return static_cast<int64_t>(streams_.size()); }
  // Device memory that the entries take once the graph is executed in the software-queue mode.
  int64_t EntryBytes() const;

 private:
  struct Hidden {
    explicit Hidden(Context& context);

    Claim id;
    Claim queue;          // hardware queues only
    Claim queue_address;  // software queues only: where the device finds which queue is bound
    int64_t entries = 0;
  };

  Context* context_;
  int64_t depth_;
  std::vector<Hidden> streams_;
};

}  // namespace ascend_sim
