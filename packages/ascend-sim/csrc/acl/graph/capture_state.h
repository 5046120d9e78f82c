// SPDX-License-Identifier: Apache-2.0
//
// The graph side of a stream: the capture, model or update that it takes part in. It is in at most
// one of the three.
#pragma once

#include <memory>

#include "acl/graph/graph.h"
#include "acl/task/launch_target.h"

namespace ascend_sim {

// Created with its stream, which owns it. Guarded by the capture mutex.
class CaptureState final : public LaunchTarget {
 public:
  static CaptureState& Of(const Stream& stream);

  bool Take(Task& task, TaskDetail detail) override;
  bool IsCapturing() const override;
  bool IsBound() const override;

  // --- the caller holds the capture mutex ---

  // The graph that the stream is captured into (null if none), and its lane there.
  const std::shared_ptr<Graph>& Capture() const { return capture_; }
  size_t CaptureLane() const { return capture_lane_; }
  void BeginCapture(std::shared_ptr<Graph> graph, size_t lane);
  void EndCapture();

  // The model that the stream belongs to, through the build interface or in place of a captured
  // stream; null if none. Its lane there.
  std::shared_ptr<Graph> Model() const { return model_.lock(); }
  size_t ModelLane() const { return model_lane_; }
  void Bind(const std::shared_ptr<Graph>& model, size_t lane);
  void Unbind();

  // The task group that the stream updates; null if none.
  const std::shared_ptr<TaskGroup>& Update() const { return update_; }
  void BeginUpdate(std::shared_ptr<TaskGroup> group);
  // The task that the next launch replaces. Fails with 500000 after the last one.
  std::shared_ptr<TaskSlot> NextSlot();
  // Ends the update. Fails with 500000 if it replaced fewer tasks than the group has.
  void EndUpdate();

 private:
  void Refresh() { SetActive(capture_ != nullptr || update_ != nullptr || !model_.expired()); }

  std::shared_ptr<Graph> capture_;
  size_t capture_lane_ = 0;
  std::weak_ptr<Graph> model_;
  size_t model_lane_ = 0;
  std::shared_ptr<TaskGroup> update_;
  size_t next_slot_ = 0;
};

}  // namespace ascend_sim
