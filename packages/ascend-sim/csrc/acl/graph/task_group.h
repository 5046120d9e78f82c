// SPDX-License-Identifier: Apache-2.0
//
// Task groups: kernels of a graph that can be replaced later. An update is ordinary asynchronous
// work on the updating stream; nothing but events and value waits orders it against a replay.
#pragma once

#include "acl/graph/graph.h"

namespace ascend_sim {

class CaptureState;

// Lets a node enter its lane while a group is open, makes it a member, or invalidates the graph and
// throws. Needs the capture mutex.
void AdmitToGroup(Graph& graph, size_t lane, GraphNode& node);

// Turns a launch between the beginning and the end of the update of `stream` into the work that
// puts `task` into the next place of the group. Needs the capture mutex.
Task UpdateNext(CaptureState& stream, Task task);

}  // namespace ascend_sim
