// SPDX-License-Identifier: Apache-2.0
//
// Graphs (the ABI's aclmdlRI): captured work as lanes of repeatable tasks, and its replay.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "abi/acl.h"
#include "acl/binding.h"
#include "acl/capture_queue.h"
#include "acl/context.h"
#include "acl/handle.h"
#include "acl/resources.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Event;
class Graph;
class Stream;

// A task of a task group: what it runs can be replaced at any time, also during a replay. Each
// replay takes the task when it reaches the slot.
class TaskSlot {
 public:
  explicit TaskSlot(Task task) : task_(std::make_shared<const Task>(std::move(task))) {}

  std::shared_ptr<const Task> Fetch() const {
    const std::lock_guard lock(mutex_);
    return task_;
  }
  void Replace(std::shared_ptr<const Task> task) {
    const std::lock_guard lock(mutex_);
    task_.swap(task);  // the old one is destroyed after the lock is gone
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Task> task_;
};

// Consecutive kernels of one lane that can be replaced. Owned by its graph; known by handle.
struct TaskGroup {
  void* handle = nullptr;
  size_t lane = 0;
  std::vector<std::shared_ptr<TaskSlot>> slots;
  bool updating = false;  // guarded by the capture mutex
};

// One step of a lane.
struct GraphNode {
  enum class Type { kTask, kGroupTask, kRecord, kWait };

  Type type = Type::kTask;
  Task task{"", TaskKind::kHostFunc, nullptr};  // kTask; elsewhere only name and kind
  std::shared_ptr<TaskSlot> slot;               // kGroupTask
  size_t latch = 0;                             // the one that kRecord sets or kWait awaits
  bool awaited = false;                         // kRecord: some wait depends on it
  bool awaited_by_origin = false;               // kRecord: and one of them is on lane 0
};

// What one stream contributed to a graph, in order.
struct Lane {
  std::weak_ptr<Stream> stream;
  void* stream_handle = nullptr;
  int32_t id = 0;
  CaptureQueue queue;
  std::vector<GraphNode> nodes;
};

// Owned by the handle table, by streams during capture and by executions. While it is captured
// everything is guarded by the capture mutex; afterwards only task slots, the binding and the
// atomics change.
class Graph : public std::enable_shared_from_this<Graph> {
 public:
  enum class Status { kCapturing, kInvalidated, kReady };

  static std::shared_ptr<Graph> Make(const std::shared_ptr<Context>& context,
                                     abi::CaptureMode mode);
  Graph(std::shared_ptr<Context> context, abi::CaptureMode mode, void* handle);
  ~Graph();

  void* Handle() const { return handle_; }
  uint32_t Id() const { return id_; }
  const std::shared_ptr<Context>& In() const { return context_; }

  // Replays on `stream`, after what is there and before what comes later. Lanes run beside each
  // other and wait for each other only where they did when captured.
  void ExecuteOn(Stream& stream);
  int Running() const { return running_.load(); }

  Binding binding;  // guarded by the binding mutex (binding.h)

  // --- capture; see capture.cpp ---
  const abi::CaptureMode mode;
  const std::thread::id begun_by = std::this_thread::get_id();
  const std::shared_ptr<ModeCounts> begun_by_counts = ThisThread().captures;
  std::atomic<Status> status{Status::kCapturing};
  std::vector<Lane> lanes;  // 0 is the stream on which the capture began
  size_t latches = 0;
  std::vector<std::weak_ptr<Event>> events;  // captured into it
  std::vector<Claim> event_ids;              // of records that need one
  std::vector<std::shared_ptr<TaskGroup>> groups;
  std::shared_ptr<TaskGroup> open_group;
  int group_error = 0;  // why the graph was invalidated, if a task group was the cause

  // --- after capture ---
  std::mutex mutex;  // guards what follows
  std::string name;
  std::vector<std::pair<aclmdlRIDestroyCallback, void*>> destroy_callbacks;

 private:
  class Run;
  void Replay();

  const std::shared_ptr<Context> context_;
  void* const handle_;
  const uint32_t id_;
  const Claim model_id_;
  std::atomic<int> running_{0};    // accepted and not finished executions
  std::atomic<int> replaying_{0};  // of these, inside Replay
};

Handles<Graph>& Graphs();
Handles<TaskGroup>& TaskGroups();

// Makes the handles of a graph and its groups stale and gives its queues back.
void Forget(Graph& graph);

}  // namespace ascend_sim
