// SPDX-License-Identifier: Apache-2.0
//
// Hardware queues for graphs, in the software-queue mode. A graph takes one queue for each of its
// hidden streams when it is first executed. It keeps them until another graph or stream needs them;
// only idle graphs give queues up. Queues taken for graphs stay in a pool for graphs, unless an
// ordinary stream finds no other. The hardware-queue mode uses only ClaimQueue.
#pragma once

#include "acl/machine/quota.h"

namespace ascend_sim {

class Context;
class Device;
class Graph;

// The resources bound to a graph. Guarded by the binding mutex.
struct Binding {
  int64_t queues = 0;
  Claim end_notify;
  Claim entries;  // device memory
};

// Binds the resources that `graph` needs, and waits while running graphs hold them. Fails with
// 207005 if there can never be enough, 507000 if the pool holds only queues that this attempt has
// freed, 207001 if memory runs out, and 207009 if notifies do. Does nothing in the hardware-queue
// mode.
void BindQueues(Graph& graph);
void UnbindQueues(Graph& graph);

// Takes the notify that signals the end of `graph`. Waits up to three seconds for one, then fails
// with 207009. Called at the end of a capture in the hardware-queue mode.
void TakeEndNotify(Graph& graph);

// Takes the pool's first queue, with the first captured stream. Does nothing if no queue is left.
void PreallocateQueue(Device& device);

// Returns the unused queues to a device that is being reset.
void ReturnIdleQueues(Device& device);

// Takes one queue for an ordinary stream. Fails with 207005 if not even an idle graph has one.
Claim ClaimQueue(Context& context);

}  // namespace ascend_sim
