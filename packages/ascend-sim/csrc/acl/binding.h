// SPDX-License-Identifier: Apache-2.0
//
// Hardware queues of graphs. A graph takes one per lane when it is first executed and keeps them
// until they are needed elsewhere; they then come from graphs that do not run. Queues once taken
// for graphs stay with graphs (or go to an ordinary stream that finds none left).
#pragma once

#include "acl/resources.h"

namespace ascend_sim {

class Context;
class Device;
class Graph;

// Binds the queues of `graph`; waits while running graphs hold what it needs. Fails with 207005
// when there can never be enough.
void BindQueues(Graph& graph);
void UnbindQueues(Graph& graph);

// Gives the queues that no graph uses back to a device that is being reset.
void ReturnIdleQueues(Device& device);

// One queue for an ordinary stream; 207005 when there is none, not even from an idle graph.
Claim ClaimQueue(Context& context);

}  // namespace ascend_sim
