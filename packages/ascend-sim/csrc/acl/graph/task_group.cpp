// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/task_group.h"

#include "acl/base/soc.h"
#include "acl/graph/capture.h"
#include "acl/instruments/counters.h"
#include "acl/instruments/hazard.h"
#include "acl/instruments/timeline.h"
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

Task UpdateNext(Stream& stream, Task task) {
  TaskGroup& group = *stream.update;
  Require(task.kind == TaskKind::kKernel, kTaskTypeNotSupport,
          "only kernels can replace the tasks of a group");
  Require(stream.update_next < group.slots.size(), kInternal,
          "more kernels than the task group has");
  auto slot = group.slots[stream.update_next++];
  auto replacement = std::make_shared<const Task>(std::move(task));
  return {"task group update", TaskKind::kHostFunc,
          [slot = std::move(slot), replacement = std::move(replacement)] {
            if (Hazards* hazards = Hazards::Get()) {
              hazards->OnThing(slot.get(), "the update of " + std::string(replacement->name), true);
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
    Require(stream->graph != nullptr, kStreamNotCaptured, "the stream is not being captured");
    Graph& graph = *stream->graph;
    Require(graph.open_group == nullptr, kTaskGroupStatus, "a task group is open already");
    graph.lanes[stream->lane].queue->Add(ThisSoc().family->group_nops);
    graph.open_group = std::make_shared<TaskGroup>();
    graph.open_group->lane = stream->lane;
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskGrpEnd(aclrtStream handle, aclrtTaskGrp* out) {
  return Abi("aclmdlRICaptureTaskGrpEnd", [&] {
    RequirePtr(out, "handle");
    *out = nullptr;
    const auto stream = Streams().Get(handle);
    const std::lock_guard lock(CaptureMutex());
    Require(stream->graph != nullptr, kStreamNotCaptured, "the stream is not being captured");
    Graph& graph = *stream->graph;
    if (graph.status.load() == Graph::Status::kInvalidated) {
      Raise(graph.group_error != 0 ? graph.group_error : kCaptureInvalidated,
            "the capture was invalidated");
    }
    Require(graph.open_group != nullptr && graph.open_group->lane == stream->lane, kTaskGroupStatus,
            "no task group is open on this stream");
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
    Require(stream->graph == nullptr, kStreamCaptured, "the stream is being captured");
    Require(stream->bound.expired(), kStreamModel, "the stream is bound to a model");
    Require(stream->update == nullptr, kTaskGroupStatus,
            "the stream is updating a task group already");
    Require(!group->updating, kTaskGroupStatus, "another stream is updating this task group");
    group->updating = true;
    stream->update = group;
    stream->update_next = 0;
    group->update_begun_at = Clock::now();
    stream->RefreshSpecial();
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureTaskUpdateEnd(aclrtStream handle) {
  return Abi("aclmdlRICaptureTaskUpdateEnd", [&] {
    const auto stream = Streams().Get(handle);
    const std::lock_guard lock(CaptureMutex());
    Require(stream->update != nullptr, kTaskGroupStatus, "the stream is not updating a task group");
    const auto group = std::exchange(stream->update, nullptr);
    group->updating = false;
    stream->RefreshSpecial();
    RecordSpan("update", "update", 0, group->update_begun_at);
    Require(stream->update_next == group->slots.size(), kInternal,
            "fewer kernels than the task group has");
  });
}
