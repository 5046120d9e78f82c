// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/graph.h"

#include <condition_variable>
#include <cstdio>

#include "acl/graph/binding.h"
#include "acl/graph/condition.h"
#include "acl/graph/task_parameters.h"
#include "acl/observe/counters.h"
#include "acl/observe/order.h"
#include "acl/observe/timeline.h"
#include "acl/runtime/event.h"
#include "acl/runtime/stream.h"
#include "acl/task/lane_pool.h"
#include "acl/task/wait.h"

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

std::shared_ptr<Graph> Graph::Make(const std::shared_ptr<Context>& context, Origin origin) {
  void* handle = Graphs().Reserve();
  auto graph = std::make_shared<Graph>(context, origin, handle);
  Graphs().Add(handle, graph);
  return graph;
}

Graph::Graph(std::shared_ptr<Context> context, Origin graph_origin, void* handle)
    : origin(graph_origin),
      status(graph_origin == Origin::kBuilt ? Status::kBuilding : Status::kCapturing),
      context_(std::move(context)),
      handle_(handle),
      id_(NextGraphId()),
      model_id_(context_->OnDevice().Resources().models) {}

Graph::~Graph() {
  UnbindQueues(*this);
  if (OrderObserver* order = OrderObserver::Get()) order->Forget(this, 1);
}

void Forget(Graph& graph) {
  Graphs().Remove(graph.Handle());
  for (const auto& group : graph.groups) TaskGroups().Remove(group->handle);
  for (const auto& condition : graph.conditions) {
    Conditions().Remove(condition->handle);
    for (const auto& branch : condition->branches) Forget(*branch);
  }
  const std::lock_guard lock(graph.mutex);
  for (const Lane& lane : graph.lanes) {
    if (lane.captured) Streams().Remove(lane.captured->Handle());
    for (void* task : lane.tasks) ForgetTask(task);
  }
}

std::vector<const Lane*> Graph::AllLanes() const {
  std::vector<const Lane*> all;
  for (const Lane& lane : lanes) all.push_back(&lane);
  for (const auto& condition : conditions) {
    for (const auto& branch : condition->branches) {
      const auto inner = branch->AllLanes();
      all.insert(all.end(), inner.begin(), inner.end());
    }
  }
  return all;
}

// One replay: the latches of its records, the external events it is bound to, and how many lanes
// still run.
class Graph::Run {
 public:
  Run(Graph& graph, const Externals& externals)
      : graph_(graph), externals_(externals), latches_(new Signal[graph.latches]) {}

  void Go() {
    running_ = graph_.lanes.size() - 1;
    const auto* cancelled = CancelScope::Current();
    const Knowledge begun = order_ != nullptr ? order_->Publish() : nullptr;
    for (size_t lane = 1; lane < graph_.lanes.size(); ++lane) {
      std::shared_ptr<Schedule::Actor> actor;
      if (schedule_ != nullptr) actor = schedule_->LaneActor(graph_.Id(), lane);
      RunOnLanePool(
          [this, lane, cancelled, begun, schedule = schedule_, actor = std::move(actor)]() mutable {
            const CancelScope scope(cancelled);
            if (actor) schedule->Act(actor.get());
            if (order_ != nullptr) {
              RunLaneAsTrack(lane, begun);
            } else {
              RunLane(lane);
            }
            {
              const std::lock_guard lock(mutex_);
              if (--running_ == 0) finished_.notify_all();
            }
            if (actor) schedule->Act(nullptr);
            actor.reset();
          });
    }
    const bool complete = RunLane(0);
    {
      // Cannot be interrupted, because the lanes use this object. They end by themselves when the
      // replay is cancelled.
      const auto finished = [this] { return running_ == 0; };
      if (schedule_ != nullptr) {
        const auto locked = [&] {
          const std::lock_guard lock(mutex_);
          return finished();
        };
        schedule_->Await(std::nullopt, locked, /*interruptible=*/false);
      }
      std::unique_lock lock(mutex_);
      finished_.wait(lock, finished);
    }
    for (const Knowledge& knowledge : learnt_) order_->Learn(knowledge);
    if (!complete) throw Cancelled{};
  }

 private:
  // False if the replay was cancelled.
  bool RunLane(size_t lane) {
    const std::vector<GraphNode>& nodes = graph_.lanes[lane].nodes;
    const TrackScope track([&] {
      return TrackName(graph_.context_->OnDevice().MachineId(), "graph", graph_.id_) + " lane " +
             std::to_string(lane);
    });
    const auto member = graph_.lanes[lane].Member();
    const int32_t stream = member ? member->Id() : -1;
    try {
      for (const GraphNode& node : nodes) {
        if (schedule_ != nullptr) schedule_->Step();
        RunNode(node, stream);
      }
    } catch (const Cancelled&) {
      return false;
    }
    Add(Count().graph_tasks_replayed, nodes.size());
    return true;
  }

  void RunNode(const GraphNode& node, int32_t stream) {
    Device& device = graph_.context_->OnDevice();
    if (graph_.context_->stop_on_failure.load(std::memory_order_relaxed) && device.Failed()) {
      if (node.type == GraphNode::Type::kRecord) latches_[node.latch].Set();
      return;
    }
    // It is not known whether a wait for a disabled record hangs or passes on an NPU. Here it
    // passes.
    if (node.disabled && node.type != GraphNode::Type::kRecord) return;
    switch (node.type) {
      case GraphNode::Type::kTask:
        if (order_ != nullptr) order_->OnTask(node.task, &node.blocks);
        return device.Execute(node.task, stream);
      case GraphNode::Type::kGroupTask: {
        if (order_ != nullptr) {
          order_->OnThing(node.slot.get(), "the replay of " + std::string(node.task.name), false);
        }
        const auto task = node.slot->Fetch();
        if (order_ != nullptr) order_->OnTask(*task);
        return device.Execute(*task, stream);
      }
      case GraphNode::Type::kRecord: {
        const Span span(node.task.name, CategoryOf(node.task.kind));
        return latches_[node.latch].Set();
      }
      case GraphNode::Type::kWait: {
        const Span span(node.task.name, CategoryOf(node.task.kind));
        latches_[node.latch].Wait();
        return;
      }
      case GraphNode::Type::kExternal: {
        const auto& signal = externals_[node.latch];
        if (graph_.externals[node.latch].records) return signal->Set();
        if (signal) signal->Wait();
        return;
      }
      case GraphNode::Type::kCondition:
        return node.condition->Run();
    }
  }

  // Every lane but the first is a track of its own. What it knows goes to the track that waits for
  // it.
  void RunLaneAsTrack(size_t lane, const Knowledge& begun) {
    const auto track = order_->MakeTrack(
        graph_.context_->OnDevice(),
        "lane " + std::to_string(lane) + " of graph " + std::to_string(graph_.id_));
    const OrderObserver::Working working(*order_, track, begun);
    RunLane(lane);
    Knowledge knowledge = order_->Publish();
    const std::lock_guard lock(mutex_);
    learnt_.push_back(std::move(knowledge));
  }

  Graph& graph_;
  const Externals& externals_;
  Schedule* const schedule_ = Schedule::Get();
  OrderObserver* const order_ = OrderObserver::Get();
  std::vector<Knowledge> learnt_;  // from lanes that have ended
  const std::unique_ptr<Signal[]> latches_;
  std::mutex mutex_;
  std::condition_variable finished_;
  size_t running_ = 0;
};

Graph::Externals Graph::BindExternals() const {
  Externals bound;
  for (const ExternalUse& use : externals) {
    bound.push_back(use.records ? use.event->Publish() : use.event->Latest());
  }
  return bound;
}

void Graph::RunAsBranch() { Run(*this, {}).Go(); }

void Graph::Replay(const Externals& bound) {
  if (replaying_.fetch_add(1) > 0) ReportOverlap(id_);
  if (OrderObserver* order = OrderObserver::Get()) {
    order->OnThing(this, "a replay of graph " + std::to_string(id_), true);
  }
  struct AtExit {
    std::atomic<int>& count;
    ~AtExit() { count.fetch_sub(1); }
  } at_exit{replaying_};
  const Span span("replay", "replay", id_);
  Run(*this, bound).Go();
}

void Graph::ExecuteOn(Stream& stream) {
  // Counted until the execution has ended, or was dropped with its stream.
  {
    const std::lock_guard lock(mutex);
    Require(status.load() == Status::kReady, kModelExecute,
            "the graph is not ready: it is still being built, or changed task parameters need "
            "aclmdlRIUpdate");
    running_.fetch_add(1);
  }
  const std::shared_ptr<Graph> execution(
      this, [self = shared_from_this()](Graph* graph) { graph->running_.fetch_sub(1); });
  BindQueues(*this);
  for (const auto& condition : conditions) condition->Assign();
  stream.Enqueue({"aclmdlRIExecuteAsync", TaskKind::kHostFunc,
                  [execution, bound = BindExternals()] { execution->Replay(bound); }},
                 /*may_block=*/true);
  Add(Count().graph_executions);
}

}  // namespace ascend_sim
