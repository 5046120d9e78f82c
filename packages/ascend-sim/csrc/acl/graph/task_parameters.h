// SPDX-License-Identifier: Apache-2.0
//
// The tasks of a finished graph, by handle: their parameters, and how to change them. After a
// change the graph cannot be executed until aclmdlRIUpdate; after a wrong change it never can.
#pragma once

namespace ascend_sim {

struct GraphNode;

// ACL's type of a node's task (abi::TaskType), as introspection and JSON report it.
unsigned TaskTypeOf(const GraphNode& node);

// Invalidates the handle of a task.
void ForgetTask(void* handle);

}  // namespace ascend_sim
