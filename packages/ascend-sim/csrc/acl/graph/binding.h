// SPDX-License-Identifier: Apache-2.0
//
// Hardware queues of graphs, with software queues: a graph takes one for each of its hidden streams
// when it is first executed and keeps them until they are needed elsewhere; they then come from
// graphs that do not run. Queues once taken for graphs stay in a pool for graphs (or go to an
// ordinary stream that finds none left). With hardware queues only ClaimQueue is used.
#pragma once

#include "acl/machine/quota.h"

namespace ascend_sim {

class Context;
class Device;
class Graph;

// What a graph has bound; guarded by the binding mutex.
struct Binding {
  int64_t queues = 0;
  Claim end_notify;
  Claim entries;  // device memory
};

// Binds what `graph` needs; waits while running graphs hold it. Fails with 207005 when there can
// never be enough, 507000 when the pool is full of queues that this attempt only freed, 207001 and
// 207009 without memory or notify. No-op with hardware queues.
void BindQueues(Graph& graph);
void UnbindQueues(Graph& graph);

// Takes the notify that tells the end of `graph`, waiting up to three seconds for one; 207009
// without. For the end of a capture with hardware queues.
void TakeEndNotify(Graph& graph);

// The pool's first queue, which comes with the first captured stream; none if there is none left.
void PreallocateQueue(Device& device);

// Gives the queues that no graph uses back to a device that is being reset.
void ReturnIdleQueues(Device& device);

// One queue for a stream of its own; 207005 when there is none, not even from an idle graph.
Claim ClaimQueue(Context& context);

}  // namespace ascend_sim
