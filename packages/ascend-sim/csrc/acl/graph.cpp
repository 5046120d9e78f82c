// SPDX-License-Identifier: Apache-2.0
#include "acl/graph.h"

#include <condition_variable>
#include <cstdio>

#include "acl/binding.h"
#include "acl/counters.h"
#include "acl/lane_pool.h"
#include "acl/stream.h"
#include "acl/wait.h"

namespace ascend_sim {
namespace {

uint32_t NextGraphId() {
  static std::atomic<uint32_t> next{1};
  return next.fetch_add(1);
}

void ReportOverlap(uint32_t id) {
  Add(Count().graph_overlaps);
  static std::atomic<bool> reported{false};
  if (reported.exchange(true)) return;
  std::fprintf(
      stderr,
      "ascend-sim: graph %u is replayed while an earlier replay of it still runs; on an NPU the "
      "result is undefined (reported once; see the counter graph_overlaps)\n",
      id);
}

}  // namespace

Handles<Graph>& Graphs() {
  static auto* const graphs = new Handles<Graph>("graph", 4);
  return *graphs;
}

Handles<TaskGroup>& TaskGroups() {
  static auto* const groups = new Handles<TaskGroup>("task group", 5);
  return *groups;
}

std::shared_ptr<Graph> Graph::Make(const std::shared_ptr<Context>& context, abi::CaptureMode mode) {
  void* handle = Graphs().Reserve();
  auto graph = std::make_shared<Graph>(context, mode, handle);
  Graphs().Add(handle, graph);
  return graph;
}

Graph::Graph(std::shared_ptr<Context> context, abi::CaptureMode capture_mode, void* handle)
    : mode(capture_mode),
      context_(std::move(context)),
      handle_(handle),
      id_(NextGraphId()),
      model_id_(context_->OnDevice().Resources().models) {}

Graph::~Graph() { UnbindQueues(*this); }

void Forget(Graph& graph) {
  Graphs().Remove(graph.Handle());
  for (const auto& group : graph.groups) TaskGroups().Remove(group->handle);
}

// One replay: the latches of its records and the count of lanes that still run.
class Graph::Run {
 public:
  explicit Run(Graph& graph) : graph_(graph), latches_(new Signal[graph.latches]) {}

  void Go() {
    running_ = graph_.lanes.size() - 1;
    const auto* cancelled = CancelScope::Current();
    for (size_t lane = 1; lane < graph_.lanes.size(); ++lane) {
      RunOnLanePool([this, lane, cancelled] {
        const CancelScope scope(cancelled);
        RunLane(lane);
        const std::lock_guard lock(mutex_);
        if (--running_ == 0) finished_.notify_all();
      });
    }
    const bool complete = RunLane(0);
    {
      // Not interruptible: the lanes use this object. They end by themselves when the replay is
      // called off.
      std::unique_lock lock(mutex_);
      finished_.wait(lock, [this] { return running_ == 0; });
    }
    if (!complete) throw Cancelled{};
  }

 private:
  // False when the replay was called off.
  bool RunLane(size_t lane) {
    const std::vector<GraphNode>& nodes = graph_.lanes[lane].nodes;
    try {
      for (const GraphNode& node : nodes) RunNode(node);
    } catch (const Cancelled&) {
      return false;
    }
    Add(Count().graph_tasks_replayed, nodes.size());
    return true;
  }

  void RunNode(const GraphNode& node) {
    Device& device = graph_.context_->OnDevice();
    if (graph_.context_->stop_on_failure.load(std::memory_order_relaxed) && device.Failed()) {
      if (node.type == GraphNode::Type::kRecord) latches_[node.latch].Set();
      return;
    }
    switch (node.type) {
      case GraphNode::Type::kTask:
        return device.Execute(node.task);
      case GraphNode::Type::kGroupTask:
        return device.Execute(*node.slot->Fetch());
      case GraphNode::Type::kRecord:
        return latches_[node.latch].Set();
      case GraphNode::Type::kWait:
        latches_[node.latch].Wait();
    }
  }

  Graph& graph_;
  const std::unique_ptr<Signal[]> latches_;
  std::mutex mutex_;
  std::condition_variable finished_;
  size_t running_ = 0;
};

void Graph::Replay() {
  if (replaying_.fetch_add(1) > 0) ReportOverlap(id_);
  struct AtExit {
    std::atomic<int>& count;
    ~AtExit() { count.fetch_sub(1); }
  } at_exit{replaying_};
  Run(*this).Go();
}

void Graph::ExecuteOn(Stream& stream) {
  // Counted from acceptance until the execution is over or dropped with its stream.
  running_.fetch_add(1);
  const std::shared_ptr<Graph> execution(
      this, [self = shared_from_this()](Graph* graph) { graph->running_.fetch_sub(1); });
  BindQueues(*this);
  stream.Enqueue(
      {"aclmdlRIExecuteAsync", TaskKind::kHostFunc, [execution] { execution->Replay(); }},
      /*may_block=*/true);
  Add(Count().graph_executions);
}

}  // namespace ascend_sim
