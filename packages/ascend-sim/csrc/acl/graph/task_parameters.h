// SPDX-License-Identifier: Apache-2.0
//
// The tasks of a finished graph by handle: what they are, and other parameters for them. A change
// makes the graph unexecutable until aclmdlRIUpdate; a wrong change makes it so for good.
#pragma once

namespace ascend_sim {

struct GraphNode;

// ACL's type of the task of a node (abi::TaskType), as introspection and JSON tell it.
unsigned TaskTypeOf(const GraphNode& node);

// Makes the handle of a task stale.
void ForgetTask(void* handle);

}  // namespace ascend_sim
