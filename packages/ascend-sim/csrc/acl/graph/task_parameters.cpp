// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/task_parameters.h"

#include <cstring>
#include <string>

#include "abi/acl.h"
#include "acl/base/handle.h"
#include "acl/graph/capture.h"
#include "acl/graph/capture_queue.h"
#include "acl/graph/capture_state.h"
#include "acl/graph/graph.h"
#include "acl/launch/value.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

// A task that a caller has a handle of. Its position is fixed, but its graph may be destroyed.
struct GraphTask {
  std::weak_ptr<Graph> graph;
  size_t lane = 0;
  size_t index = 0;
  void* kernel = nullptr;  // the function handle given out for it; guarded by the graph's mutex
};

Handles<GraphTask>& Tasks() {
  static auto* const tasks = new Handles<GraphTask>("task", 8);
  return *tasks;
}

// Kernels by the function handle that aclmdlRITaskGetParams returns. A simulated kernel contains
// its arguments, so a task that gets another task's function gets its arguments too.
Handles<const Task>& Kernels() {
  static auto* const kernels = new Handles<const Task>("kernel", 9);
  return *kernels;
}

std::shared_ptr<GraphTask> TaskArg(const void* handle) {
  Require(handle != nullptr, kRtParamInvalid, "the task handle is null");
  return Tasks().Get(handle);
}

std::shared_ptr<Graph> GraphOf(const GraphTask& task) {
  auto graph = task.graph.lock();
  Require(graph != nullptr, kInvalidHandle, "the graph of the task was destroyed");
  return graph;
}

// The stream's graph and its lane there. Children report nothing.
std::pair<std::shared_ptr<Graph>, size_t> BoundGraph(const Stream& stream) {
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  auto graph = state.Model();
  Require(graph != nullptr, kRtParamInvalid,
          "the stream belongs to no graph: take one from aclmdlRIGetStreams");
  Require(!graph->IsChild(), kNotSupported, "the tasks of a condition's graph cannot be listed");
  return {graph, state.ModelLane()};
}

void GetTasks(const Stream& stream, aclmdlRITask* out, uint32_t* number) {
  const auto [graph, index] = BoundGraph(stream);
  const std::lock_guard lock(graph->mutex);
  Lane& lane = graph->lanes[index];
  const auto present = static_cast<uint32_t>(lane.nodes.size());
  const uint32_t room = std::exchange(*number, present);
  if (out == nullptr) return;
  for (size_t i = lane.tasks.size(); i < present; ++i) {
    void* handle = Tasks().Reserve();
    Tasks().Add(handle, std::make_shared<GraphTask>(GraphTask{graph, index, i}));
    lane.tasks.push_back(handle);
  }
  for (uint32_t i = 0; i < room; ++i) out[i] = i < present ? lane.tasks[i] : nullptr;
  Require(room >= present, kShortArray, "the array is shorter than the number of tasks");
}

// The work of a node's task; null if it is not a caller's task.
std::shared_ptr<const Task> KernelOf(const GraphNode& node) {
  return node.slot ? node.slot->Fetch() : std::make_shared<const Task>(node.task);
}

void Describe(GraphTask& task, const Graph& graph, abi::TaskParams& params) {
  const GraphNode& node = graph.lanes[task.lane].nodes[task.index];
  params = {};
  params.type = TaskTypeOf(node);
  Require(params.type != abi::kTaskDefault, kRtParamInvalid,
          "tasks of the type 0 (default) have no parameters");
  for (const auto& group : graph.groups) {
    for (const auto& slot : group->slots) {
      if (slot == node.slot) params.task_group = group->handle;
    }
  }
  if (params.type == abi::kTaskKernel) {
    if (task.kernel == nullptr) {
      task.kernel = Kernels().Reserve();
      Kernels().Add(task.kernel, KernelOf(node));
    }
    params.kernel.function = task.kernel;
    params.kernel.blocks = 1;
  } else if (const auto* value = std::get_if<ValueDetail>(&node.detail)) {
    params.value = {value->word, value->value, value->flag};
  } else if (const auto* event = std::get_if<EventDetail>(&node.detail)) {
    params.event = {event->event, event->flags, event->external ? 1u : 0u};
  }
}

void Apply(GraphTask& task, Graph& graph, const abi::TaskParams& params) {
  GraphNode& node = graph.lanes[task.lane].nodes[task.index];
  const bool settable = params.type == abi::kTaskKernel || params.type == abi::kTaskValueWrite ||
                        params.type == abi::kTaskValueWait;
  Require(settable, kRtParamInvalid,
          "parameters can be set of the types 1 (kernel), 5 (value write) and 6 (value wait)");
  Require(params.type == TaskTypeOf(node), kRtParamInvalid, "the task is of another type");
  if (params.type != abi::kTaskKernel) {
    const ValueDetail detail{static_cast<uint64_t*>(params.value.address), params.value.value,
                             params.type == abi::kTaskValueWait ? params.value.flag : 0};
    node.task.run = ValueWork(node.task.kind, detail);
    node.detail = detail;
    return;
  }
  const auto kernel = Kernels().Find(params.kernel.function);
  Require(kernel != nullptr, kRtParamInvalid,
          "the function handle is not one that aclmdlRITaskGetParams gave");
  if (node.slot) {
    node.slot->Replace(kernel);
  } else {
    node.task = *kernel;
  }
  task.kernel = params.kernel.function;
}

// Changes a graph, which must not be running or being captured. A change that fails makes the graph
// faulty.
template <class Change>
void ChangeGraph(Graph& graph, Change change) {
  using Status = Graph::Status;
  Require(!graph.IsChild(), kNotSupported, "the graph of a condition cannot be changed");
  RequireSoftwareQueues("task parameters");
  const std::lock_guard lock(graph.mutex);
  const Status status = graph.status.load();
  Require(graph.Running() == 0 && (status == Status::kReady || status == Status::kUpdating),
          kModelUpdate, "the graph is running, being captured or at fault");
  graph.status.store(Status::kFault);
  change();
  graph.status.store(Status::kUpdating);
}

void Update(Graph& graph) {
  using Status = Graph::Status;
  Require(!graph.IsChild(), kNotSupported, "the graph of a condition cannot be changed");
  RequireSoftwareQueues("task parameters");
  const std::lock_guard lock(graph.mutex);
  const Status status = graph.status.load();
  if (status == Status::kReady) return;
  Require(status == Status::kUpdating, kModelUpdate, "the graph is being captured or at fault");
  graph.status.store(Status::kReady);
}

}  // namespace

unsigned TaskTypeOf(const GraphNode& node) {
  switch (node.task.kind) {
    case TaskKind::kKernel:
      return abi::kTaskKernel;
    case TaskKind::kEventRecord:
      return abi::kTaskEventRecord;
    case TaskKind::kEventWait:
      return abi::kTaskEventWait;
    case TaskKind::kEventReset:
      return abi::kTaskEventReset;
    case TaskKind::kValueWrite:
      return abi::kTaskValueWrite;
    case TaskKind::kValueWait:
      return abi::kTaskValueWait;
    default:
      return abi::kTaskDefault;
  }
}

void ForgetTask(void* handle) {
  const auto task = Tasks().Remove(handle);
  if (task != nullptr) Kernels().Remove(task->kernel);
}

}  // namespace ascend_sim

using namespace ascend_sim;

// Without an array, returns how many tasks were captured. With one, fills in as many as fit, and
// null in the rest.
ASCEND_SIM_ABI aclError aclmdlRIGetTasksByStream(aclrtStream handle, aclmdlRITask* tasks,
                                                 uint32_t* number) {
  return Abi("aclmdlRIGetTasksByStream", [&] {
    Require(number != nullptr, kRtParamInvalid, "numTasks is null");
    GetTasks(*StreamArg(handle), tasks, number);
  });
}

ASCEND_SIM_ABI aclError aclmdlRITaskGetType(aclmdlRITask handle, uint32_t* type) {
  return Abi("aclmdlRITaskGetType", [&] {
    const auto task = TaskArg(handle);
    Require(type != nullptr, kRtParamInvalid, "type is null");
    *type = TaskTypeOf(GraphOf(*task)->lanes[task->lane].nodes[task->index]);
  });
}

// The position of the task in its stream.
ASCEND_SIM_ABI aclError aclmdlRITaskGetSeqId(aclmdlRITask handle, uint32_t* id) {
  return Abi("aclmdlRITaskGetSeqId", [&] {
    const auto task = TaskArg(handle);
    Require(id != nullptr, kRtParamInvalid, "id is null");
    *id = static_cast<uint32_t>(task->index);
  });
}

ASCEND_SIM_ABI aclError aclmdlRITaskGetParams(aclmdlRITask handle, abi::TaskParams* params) {
  return Abi("aclmdlRITaskGetParams", [&] {
    const auto task = TaskArg(handle);
    Require(params != nullptr, kRtParamInvalid, "params is null");
    RequireSoftwareQueues("task parameters");
    const auto graph = GraphOf(*task);
    const std::lock_guard lock(graph->mutex);
    Describe(*task, *graph, *params);
  });
}

ASCEND_SIM_ABI aclError aclmdlRITaskSetParams(aclmdlRITask handle, abi::TaskParams* params) {
  return Abi("aclmdlRITaskSetParams", [&] {
    const auto task = TaskArg(handle);
    Require(params != nullptr, kRtParamInvalid, "params is null");
    const auto graph = GraphOf(*task);
    ChangeGraph(*graph, [&] { Apply(*task, *graph, *params); });
  });
}

ASCEND_SIM_ABI aclError aclmdlRITaskDisable(aclmdlRITask handle) {
  return Abi("aclmdlRITaskDisable", [&] {
    const auto task = TaskArg(handle);
    const auto graph = GraphOf(*task);
    ChangeGraph(*graph, [&] {
      GraphNode& node = graph->lanes[task->lane].nodes[task->index];
      Require(TaskTypeOf(node) != abi::kTaskDefault, kRtParamInvalid,
              "tasks of the type 0 (default) cannot be disabled");
      node.disabled = true;
    });
  });
}

ASCEND_SIM_ABI aclError aclmdlRIUpdate(aclmdlRI handle) {
  return Abi("aclmdlRIUpdate", [&] {
    Require(handle != nullptr, kRtParamInvalid, "modelRI is null");
    Update(*Graphs().Get(handle));
  });
}
