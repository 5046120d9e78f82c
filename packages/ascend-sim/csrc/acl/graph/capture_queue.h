// SPDX-License-Identifier: Apache-2.0
//
// The hidden streams behind a stream that is captured: what they take of a device, and how full
// they are. When the last one is full, the next task goes to a new one that it activates (a
// cascade).
#pragma once

#include <cstdint>
#include <vector>

#include "acl/machine/quota.h"

namespace ascend_sim {

class Context;

// True when graphs take hardware queues at their first execution; false when the configuration or
// the chip wants them taken as streams are captured.
bool SoftwareQueues();

// Owned by a lane of a graph; guarded by the capture mutex until the capture ends and immutable
// afterwards.
class CaptureQueue {
 public:
  // Takes the first stream of `context`: 207008 or 207005 when there is none.
  explicit CaptureQueue(Context& context);

  // Makes room for a task of `entries` queue entries, with one more stream if need be; fails as
  // the constructor does.
  void Add(int64_t entries = 1);

  // Hidden streams, each of which needs a hardware queue.
  int64_t Streams() const { return static_cast<int64_t>(streams_.size()); }
  // Device memory that the entries take once the graph is executed with software queues.
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
