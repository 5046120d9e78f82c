// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/capture_state.h"

#include "acl/base/soc.h"
#include "acl/graph/capture.h"
#include "acl/graph/task_group.h"
#include "acl/observe/timeline.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

// A launch on a stream that is bound to a model. It becomes a task of the model while that is being
// built.
void AppendToModel(Graph& graph, size_t lane, GraphNode node) {
  Require(graph.status.load() == Graph::Status::kBuilding, kStreamModel,
          "the stream belongs to a model that is complete");
  auto& nodes = graph.lanes[lane].nodes;
  if (const int64_t limit = ThisSoc().family->sink_tasks;
      static_cast<int64_t>(nodes.size()) >= limit) {
    Raise(kStreamFull, "a stream of a built model holds " + std::to_string(limit) + " tasks");
  }
  nodes.push_back(std::move(node));
}

}  // namespace

CaptureState& CaptureState::Of(const Stream& stream) {
  return static_cast<CaptureState&>(stream.Target());  // acl/graph makes the targets of all streams
}

bool CaptureState::Take(Task& task, TaskDetail detail) {
  const std::lock_guard lock(CaptureMutex());
  const auto model = Model();
  if (capture_ || model) {
    GraphNode node;
    node.task = std::move(task);
    node.detail = std::move(detail);
    if (model) {
      AppendToModel(*model, model_lane_, std::move(node));
    } else {
      AppendNode(*capture_, capture_lane_, std::move(node));
    }
    return true;
  }
  if (update_) task = UpdateNext(*this, std::move(task));
  return false;
}

bool CaptureState::IsCapturing() const {
  if (!Active()) return false;
  const std::lock_guard lock(CaptureMutex());
  return capture_ != nullptr;
}

bool CaptureState::IsBound() const {
  if (!Active()) return false;
  const std::lock_guard lock(CaptureMutex());
  return !model_.expired();
}

void CaptureState::BeginCapture(std::shared_ptr<Graph> graph, size_t lane) {
  capture_ = std::move(graph);
  capture_lane_ = lane;
  Refresh();
}

void CaptureState::EndCapture() {
  capture_ = nullptr;
  Refresh();
}

void CaptureState::Bind(const std::shared_ptr<Graph>& model, size_t lane) {
  model_ = model;
  model_lane_ = lane;
  Refresh();
}

void CaptureState::Unbind() {
  model_.reset();
  Refresh();
}

void CaptureState::BeginUpdate(std::shared_ptr<TaskGroup> group) {
  Require(capture_ == nullptr, kStreamCaptured, "the stream is being captured");
  Require(model_.expired(), kStreamModel, "the stream is bound to a model");
  Require(update_ == nullptr, kTaskGroupStatus, "the stream is already updating a task group");
  Require(!group->updating, kTaskGroupStatus, "another stream is updating this task group");
  group->updating = true;
  group->update_begun_at = Clock::now();
  update_ = std::move(group);
  next_slot_ = 0;
  Refresh();
}

std::shared_ptr<TaskSlot> CaptureState::NextSlot() {
  Require(next_slot_ < update_->slots.size(), kInternal, "more kernels than the task group has");
  return update_->slots[next_slot_++];
}

void CaptureState::EndUpdate() {
  Require(update_ != nullptr, kTaskGroupStatus, "the stream is not updating a task group");
  const auto group = std::exchange(update_, nullptr);
  group->updating = false;
  Refresh();
  RecordSpan("update", "update", 0, group->update_begun_at);
  Require(next_slot_ == group->slots.size(), kInternal, "fewer kernels than the task group has");
}

}  // namespace ascend_sim
