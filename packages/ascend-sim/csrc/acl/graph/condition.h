// SPDX-License-Identifier: Apache-2.0
//
// Conditions: tasks of a graph that choose, when they run, which other graphs run. The choice is a
// word of device memory, which tasks of the graph may write.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "abi/acl.h"
#include "acl/base/handle.h"
#include "acl/graph/graph.h"

namespace ascend_sim {

// Owned by its graph; known by handle. Everything but the word is fixed once the task is added.
struct Condition {
  Condition(const std::shared_ptr<Graph>& graph, uint32_t initial, bool assigns);
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Gives the word its first value again, here and in the graphs of all branches. At each execution
  // of the outermost graph, when it is called.
  void Assign() const;
  // Chooses and runs.
  void Run() const;

  void* handle = nullptr;
  const std::weak_ptr<Graph> graph;
  const uint32_t initial;
  const bool assigns;
  const Claim memory;
  uint64_t* const word;  // device memory
  abi::ConditionType type = abi::kIf;
  std::vector<std::shared_ptr<Graph>> branches;  // empty until the task is added
};

Handles<Condition>& Conditions();

}  // namespace ascend_sim
