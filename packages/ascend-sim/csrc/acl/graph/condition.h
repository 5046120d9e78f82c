// SPDX-License-Identifier: Apache-2.0
//
// Conditions: tasks of a graph that decide at run time which other graphs run. They read the
// decision from a word of device memory, which tasks of the graph may write.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "abi/acl.h"
#include "acl/base/handle.h"
#include "acl/graph/graph.h"

namespace ascend_sim {

// Owned by its graph, and known by a handle. Only the word changes after the task is added.
struct Condition {
  Condition(const std::shared_ptr<Graph>& graph, uint32_t initial, bool assigns);
  ~Condition();
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;

  // Resets the word to its initial value, here and in the graphs of all branches. Called at each
  // execution of the outermost graph.
  void Assign() const;
  // Reads the word and runs the chosen graph.
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
