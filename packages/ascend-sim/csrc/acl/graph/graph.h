// SPDX-License-Identifier: Apache-2.0
//
// Graphs (the ABI's aclmdlRI): captured work as lanes of repeatable tasks, and its replay.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "abi/acl.h"
#include "acl/base/handle.h"
#include "acl/base/task_detail.h"
#include "acl/graph/binding.h"
#include "acl/graph/capture_queue.h"
#include "acl/machine/quota.h"
#include "acl/observe/order.h"
#include "acl/runtime/context.h"
#include "acl/task/wait.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Event;
class Graph;
class Stream;
struct Condition;

// A task of a task group. Its work can be replaced at any time, even during a replay. A replay
// reads the task when it reaches the slot.
class TaskSlot {
 public:
  ~TaskSlot() {
    if (OrderObserver* order = OrderObserver::Get()) order->Forget(this, 1);
  }
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

// Consecutive kernels of one lane that can be replaced. Owned by its graph, and known by a handle.
struct TaskGroup {
  void* handle = nullptr;
  size_t lane = 0;
  std::vector<std::shared_ptr<TaskSlot>> slots;
  bool updating = false;              // guarded by the capture mutex
  Clock::time_point update_begun_at;  // guarded likewise
};

// One step of a lane.
struct GraphNode {
  enum class Type {
    kTask,
    kGroupTask,
    kRecord,    // sets a latch
    kWait,      // awaits one
    kExternal,  // records or awaits an event of the world outside; see Graph::externals
    kCondition  // runs one of several graphs, or one again and again
  };

  Type type = Type::kTask;
  Task task{"", TaskKind::kHostFunc, nullptr};  // kTask; elsewhere only name and kind
  TaskDetail detail;
  std::vector<uint64_t> blocks;    // kTask: the allocations it touches, if hazards are looked for
  std::shared_ptr<TaskSlot> slot;  // kGroupTask
  size_t latch = 0;                // of kRecord and kWait; of kExternal the index
  bool awaited = false;            // kRecord: some wait depends on it
  bool awaited_by_origin = false;  // kRecord: and one of them is on lane 0
  std::shared_ptr<Condition> condition;  // kCondition
  bool disabled = false;                 // aclmdlRITaskDisable: replays pass over it
};

// An event that is recorded inside a graph and awaited outside, or the other way round. Bound again
// at each execution.
struct ExternalUse {
  std::shared_ptr<Event> event;
  bool records = false;  // or else it waits
};

// The work that one stream contributed to a graph, in order.
struct Lane {
  std::weak_ptr<Stream> stream;       // of the caller
  std::shared_ptr<Stream> captured;   // in its place in the graph: has a stream id, runs nothing
  std::optional<CaptureQueue> queue;  // of `captured`: what it takes
  std::vector<GraphNode> nodes;
  std::vector<void*> tasks;  // handles given out, by node; guarded by the graph's mutex

  // The stream that aclmdlRIGetStreams returns: `captured`, or the bound one; null if it was
  // destroyed.
  std::shared_ptr<Stream> Member() const { return captured ? captured : stream.lock(); }
};

// Owned by the handle table, by streams during capture, and by executions. The capture mutex guards
// everything during capture. Afterwards only task slots, the binding and the atomics change.
class Graph : public std::enable_shared_from_this<Graph> {
 public:
  // kBuilding: of the build interface (build.cpp). kUpdating, kFault: see task_parameters.cpp.
  enum class Status { kCapturing, kInvalidated, kBuilding, kReady, kUpdating, kFault };
  // kChild: the body of a condition. kBuilt: made without a capture.
  enum class Origin { kCaptured, kChild, kBuilt };

  static std::shared_ptr<Graph> Make(const std::shared_ptr<Context>& context, Origin origin);
  Graph(std::shared_ptr<Context> context, Origin origin, void* handle);
  ~Graph();

  void* Handle() const { return handle_; }
  uint32_t Id() const { return id_; }
  const std::shared_ptr<Context>& In() const { return context_; }

  // Replays on `stream`, in order with its other work. Lanes run concurrently and wait for each
  // other only where they did during capture.
  void ExecuteOn(Stream& stream);
  // Runs to completion, as part of a replay of the graph whose condition chose this child.
  void RunAsBranch();
  int Running() const { return running_.load(); }
  bool IsChild() const { return origin == Origin::kChild; }

  // Its lanes and those of the graphs in its conditions; an execution needs a queue for each.
  std::vector<const Lane*> AllLanes() const;

  Binding binding;  // guarded by the binding mutex (binding.h)

  // --- capture; see capture.cpp ---
  const Clock::time_point begun_at = Clock::now();
  const Origin origin;
  std::atomic<Status> status;
  abi::CaptureMode mode = abi::kCaptureGlobal;
  std::thread::id begun_by;
  std::shared_ptr<ModeCounts> begun_by_counts;
  std::vector<Lane> lanes;  // 0 is the stream on which the capture began
  size_t latches = 0;
  std::vector<std::weak_ptr<Event>> events;  // captured into it
  std::vector<Claim> event_ids;              // of records that need one
  bool recording = false;                    // streams are redirected into it
  bool ended = false;                        // of kBuilt: has its end task
  std::vector<ExternalUse> externals;
  std::vector<std::shared_ptr<Condition>> conditions;
  std::vector<std::shared_ptr<TaskGroup>> groups;
  std::shared_ptr<TaskGroup> open_group;
  int group_error = 0;  // why the graph was invalidated, if a task group was the cause

  // --- after capture ---
  std::mutex mutex;  // guards what follows
  std::string name;
  std::vector<std::pair<aclmdlRIDestroyCallback, void*>> destroy_callbacks;

 private:
  class Run;
  // The records that external waits wait for (null: nothing to wait for), and those that external
  // records make.
  using Externals = std::vector<std::shared_ptr<Signal>>;
  Externals BindExternals() const;
  void Replay(const Externals& externals);

  const std::shared_ptr<Context> context_;
  void* const handle_;
  const uint32_t id_;
  const Claim model_id_;
  std::atomic<int> running_{0};    // accepted and not finished executions
  std::atomic<int> replaying_{0};  // of these, inside Replay
};

Handles<Graph>& Graphs();
Handles<TaskGroup>& TaskGroups();

// Invalidates the handles of a graph and of everything that belongs to it.
void Forget(Graph& graph);

}  // namespace ascend_sim
