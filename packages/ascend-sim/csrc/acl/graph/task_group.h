// SPDX-License-Identifier: Apache-2.0
//
// Task groups: kernels of a graph that can be replaced later. An update is ordinary asynchronous
// work on the updating stream. Only events and value waits order it against a replay.
#pragma once

#include "acl/graph/graph.h"

namespace ascend_sim {

class CaptureState;

// Adds a node to its lane while a group is open and makes it a member, or invalidates the graph and
// throws. The caller holds the capture mutex.
void AdmitToGroup(Graph& graph, size_t lane, GraphNode& node);

// Turns a launch during the update of `stream` into work that puts `task` into the next slot of the
// group. The caller holds the capture mutex.
Task UpdateNext(CaptureState& stream, Task task);

}  // namespace ascend_sim
