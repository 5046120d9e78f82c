// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/condition.h"

#include <atomic>
#include <new>
#include <string>

#include "acl/graph/capture.h"
#include "acl/graph/capture_queue.h"
#include "acl/graph/capture_state.h"
#include "acl/runtime/memory.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

// The fields and their order are the ABI's.
struct TaskParams {
  aclmdlRICondHandle handle;
  uint32_t type;
  uint32_t size;
  aclmdlRI* graphs;
};

// A word in 64 bytes of its own. Callers see it as device memory, and cannot free it.
constexpr std::align_val_t kWordBytes{64};

uint64_t* NewWord(const Device& device) {
  auto* word = new (kWordBytes) uint64_t(0);
  EnterMemory(word, sizeof *word, MemoryKind::kDevice, device.Id());
  return word;
}

void CheckSize(uint32_t type, uint32_t size) {
  const bool fits = type == abi::kIf      ? size == 1 || size == 2
                    : type == abi::kWhile ? size == 1
                                          : size >= 1;
  if (!fits) {
    Raise(kRtParamInvalid, "a condition of this type cannot have " + std::to_string(size) +
                               " graphs: IF has 1 or 2, WHILE has 1, SWITCH at least 1");
  }
}

std::shared_ptr<Condition> Create(const std::shared_ptr<Graph>& graph, uint32_t initial,
                                  uint32_t flag) {
  Require(flag <= abi::kConditionAssignDefault, kRtParamInvalid,
          "the flag must be 0 or 1 (assign the default at each execution)");
  Require(graph->origin != Graph::Origin::kBuilt, kNotSupported,
          "only captured graphs can have conditions");
  RequireSoftwareQueues("conditions");
  const std::lock_guard lock(CaptureMutex());
  Require(graph->recording && graph->status.load() == Graph::Status::kCapturing, kRtParamInvalid,
          "the graph is not being captured");
  auto condition =
      std::make_shared<Condition>(graph, initial, flag == abi::kConditionAssignDefault);
  condition->handle = Conditions().Reserve();
  Conditions().Add(condition->handle, condition);
  graph->conditions.push_back(condition);
  return condition;
}

// The children are created first: the caller gets them, and the task runs them.
void AddTask(Stream& stream, const TaskParams& params, uint32_t flags) {
  Require(params.type <= abi::kSwitch, kRtParamInvalid,
          "the type must be 0 (IF), 1 (WHILE) or 2 (SWITCH)");
  Require(flags == 0, kRtParamInvalid, "the flags must be 0");
  const auto condition = Conditions().Get(params.handle);
  Require(params.graphs != nullptr, kRtParamInvalid, "the place for the graphs is null");
  RequireSoftwareQueues("conditions");
  CheckSize(params.type, params.size);
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  Require(state.Capture() != nullptr, kStreamNotCaptured, "the stream is not being captured");
  Require(state.Capture() == condition->graph.lock(), kRtParamInvalid,
          "the condition belongs to another graph");
  Require(condition->branches.empty(), kRtParamInvalid, "the condition already has a task");
  std::vector<std::shared_ptr<Graph>> branches;
  for (uint32_t i = 0; i < params.size; ++i) {
    branches.push_back(Graph::Make(state.Capture()->In(), Graph::Origin::kChild));
  }
  GraphNode node;
  node.type = GraphNode::Type::kCondition;
  node.task = {"aclmdlRIAddCondTask", TaskKind::kHostFunc, nullptr};
  node.condition = condition;
  try {
    AppendNode(*state.Capture(), state.CaptureLane(), std::move(node));
  } catch (...) {
    for (const auto& branch : branches) Forget(*branch);
    throw;
  }
  condition->type = static_cast<abi::ConditionType>(params.type);
  condition->branches = std::move(branches);
  for (uint32_t i = 0; i < params.size; ++i) params.graphs[i] = condition->branches[i]->Handle();
}

}  // namespace

Condition::Condition(const std::shared_ptr<Graph>& of, uint32_t first, bool assigns_first)
    : graph(of),
      initial(first),
      assigns(assigns_first),
      memory(of->In()->OnDevice().Resources().hbm, sizeof *word),
      word(NewWord(of->In()->OnDevice())) {}

Condition::~Condition() {
  RemoveMemory(word);
  ::operator delete(word, kWordBytes);
}

void Condition::Assign() const {
  if (assigns) std::atomic_ref(*word).store(initial);
  for (const auto& branch : branches) {
    for (const auto& inner : branch->conditions) inner->Assign();
  }
}

void Condition::Run() const {
  const auto value = [this] { return std::atomic_ref(*word).load(); };
  const auto context = branches.front()->In();
  switch (type) {
    case abi::kIf:
      if (value() != 0) return branches.front()->RunAsBranch();
      if (branches.size() == 2) branches.back()->RunAsBranch();
      return;
    case abi::kWhile:
      while (value() != 0) {
        ThrowIfCancelled();
        if (context->stop_on_failure.load() && context->OnDevice().Failed()) return;
        branches.front()->RunAsBranch();
      }
      return;
    case abi::kSwitch:
      if (const uint64_t chosen = value(); chosen < branches.size()) {
        branches[chosen]->RunAsBranch();
      }
  }
}

Handles<Condition>& Conditions() {
  static auto* const conditions = new Handles<Condition>("condition", 7);
  return *conditions;
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclmdlRICondHandleCreate(aclmdlRI model, uint32_t initial, uint32_t flag,
                                                 aclmdlRICondHandle* handle) {
  return Abi("aclmdlRICondHandleCreate", [&] {
    const auto graph = Graphs().Get(model);
    RequirePtr(handle, "handle");
    *handle = Create(graph, initial, flag)->handle;
  });
}

ASCEND_SIM_ABI aclError aclmdlRICondHandleGetCondPtr(aclmdlRICondHandle handle, uint64_t** ptr) {
  return Abi("aclmdlRICondHandleGetCondPtr", [&] {
    const auto condition = Conditions().Get(handle);
    RequirePtr(ptr, "ptr");
    *ptr = condition->word;
  });
}

ASCEND_SIM_ABI aclError aclmdlRIAddCondTask(TaskParams params, aclrtStream stream, uint32_t flags) {
  return Abi("aclmdlRIAddCondTask", [&] { AddTask(*Streams().Get(stream), params, flags); });
}
