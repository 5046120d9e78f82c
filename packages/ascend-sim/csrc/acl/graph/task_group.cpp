// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/task_group.h"

#include "acl/base/soc.h"
#include "acl/graph/capture.h"
#include "acl/graph/capture_state.h"
#include "acl/observe/counters.h"
#include "acl/observe/order.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

[[noreturn]] void Break(Graph& graph, int code, const char* why) {
  Invalidate(graph);
  graph.group_error = code;
  Raise(code, why);
}

}  // namespace

void AdmitToGroup(Graph& graph, size_t lane, GraphNode& node) {
  if (!graph.open_group) return;
  TaskGroup& group = *graph.open_group;
  if (group.lane != lane) {
    Break(graph, kTaskGroupInterrupted,
          "another stream of the same graph got work while a task group was open");
  }
  if (node.type != GraphNode::Type::kTask || node.task.kind != TaskKind::kKernel) {
    Break(graph, kTaskTypeNotSupport, "only kernels can be part of a task group");
  }
  node.type = GraphNode::Type::kGroupTask;
  node.slot = std::make_shared<TaskSlot>(node.task);
  node.task.run = nullptr;  // from now on only the slot's
  group.slots.push_back(node.slot);
}

Task UpdateNext(CaptureState& stream, Task task) {
  Require(task.kind == TaskKind::kKernel, kTaskTypeNotSupport,
          "only kernels can replace the tasks of a group");
  auto slot = stream.NextSlot();
  auto replacement = std::make_shared<const Task>(std::move(task));
  return {"task group update", TaskKind::kHostFunc,
          [slot = std::move(slot), replacement = std::move(replacement)] {
            if (OrderObserver* order = OrderObserver::Get()) {
              order->OnThing(slot.get(), "the update of " + std::string(replacement->name), true);
            }
            slot->Replace(replacement);
            Add(Count().task_updates);
          }};
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskGrpBegin(aclrtStream handle) {
  return Abi("aclmdlRICaptureTaskGrpBegin", [&] {
    const auto stream = Streams().Get(handle);
    const std::lock_guard lock(CaptureMutex());
    const CaptureState& state = CaptureState::Of(*stream);
    Require(state.Capture() != nullptr, kStreamNotCaptured, "the stream is not being captured");
    Graph& graph = *state.Capture();
    Require(graph.open_group == nullptr, kTaskGroupStatus, "a task group is already open");
    graph.lanes[state.CaptureLane()].queue->Add(ThisSoc().family->group_nops);
    graph.open_group = std::make_shared<TaskGroup>();
    graph.open_group->lane = state.CaptureLane();
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskGrpEnd(aclrtStream handle, aclrtTaskGrp* out) {
  return Abi("aclmdlRICaptureTaskGrpEnd", [&] {
    RequirePtr(out, "handle");
    *out = nullptr;
    const auto stream = Streams().Get(handle);
    const std::lock_guard lock(CaptureMutex());
    const CaptureState& state = CaptureState::Of(*stream);
    Require(state.Capture() != nullptr, kStreamNotCaptured, "the stream is not being captured");
    Graph& graph = *state.Capture();
    if (graph.status.load() == Graph::Status::kInvalidated) {
      Raise(graph.group_error != 0 ? graph.group_error : kCaptureInvalidated,
            "the capture was invalidated");
    }
    Require(graph.open_group != nullptr && graph.open_group->lane == state.CaptureLane(),
            kTaskGroupStatus, "no task group is open on this stream");
    const auto group = std::exchange(graph.open_group, nullptr);
    group->handle = TaskGroups().Reserve();
    TaskGroups().Add(group->handle, group);
    graph.groups.push_back(group);
    *out = group->handle;
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskUpdateBegin(aclrtStream handle,
                                                       aclrtTaskGrp group_handle) {
  return Abi("aclmdlRICaptureTaskUpdateBegin", [&] {
    const auto stream = Streams().Get(handle);
    const auto group = TaskGroups().Get(group_handle);
    const std::lock_guard lock(CaptureMutex());
    CaptureState::Of(*stream).BeginUpdate(group);
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskUpdateEnd(aclrtStream handle) {
  return Abi("aclmdlRICaptureTaskUpdateEnd", [&] {
    const auto stream = Streams().Get(handle);
    const std::lock_guard lock(CaptureMutex());
    CaptureState::Of(*stream).EndUpdate();
  });
}
