// SPDX-License-Identifier: Apache-2.0
#include "acl/binding.h"

#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "acl/context.h"
#include "acl/device.h"
#include "acl/graph.h"

namespace ascend_sim {
namespace {

constexpr int64_t kMaxForGraphs = 1024;

// Queues of one device that belong to graphs.
struct GraphQueues {
  int64_t held = 0;   // taken from the device
  int64_t bound = 0;  // and bound to a graph now
};

struct Bindings {
  std::mutex mutex;
  std::map<int, GraphQueues> of_device;
};

Bindings& TheBindings() {
  static auto* const bindings = new Bindings;
  return *bindings;
}

void Unbind(GraphQueues& queues, Graph& graph) {
  queues.bound -= graph.bound_queues;
  graph.bound_queues = 0;
  graph.end_notify = Claim();
}

// Takes the queues of one graph of `context` that does not run; false when there is none. `alive`
// receives the graph: the caller lets go of it after the mutex, because its destructor needs that
// too.
bool Steal(GraphQueues& queues, const Context& context,
           std::vector<std::shared_ptr<Graph>>& alive) {
  for (const auto& graph : alive) {
    if (graph->bound_queues == 0 || graph->Running() > 0 || graph->In().get() != &context) continue;
    Unbind(queues, *graph);
    return true;
  }
  return false;
}

// Makes `wanted` queues free for graphs, if the device and the limit allow it.
bool Provide(GraphQueues& queues, Quota& device, int64_t wanted) {
  const int64_t missing = wanted - (queues.held - queues.bound);
  if (missing <= 0) return true;
  if (queues.held + missing > kMaxForGraphs || !device.TryTake(missing)) return false;
  queues.held += missing;
  return true;
}

}  // namespace

void BindQueues(Graph& graph) {
  const auto wanted = static_cast<int64_t>(graph.lanes.size());
  Device& device = graph.In()->OnDevice();
  for (;;) {
    auto alive = Graphs().All();
    {
      const std::lock_guard lock(TheBindings().mutex);
      if (graph.bound_queues > 0) return;
      GraphQueues& queues = TheBindings().of_device[device.Id()];
      do {
        if (Provide(queues, device.Resources().queues, wanted)) {
          graph.end_notify = Claim(device.Resources().notifies);
          graph.bound_queues = wanted;
          queues.bound += wanted;
          return;
        }
      } while (Steal(queues, *graph.In(), alive));
      if (wanted > queues.held) {
        Raise(kResourceAlloc, "the graph needs " + std::to_string(wanted) +
                                  " hardware queues; graphs hold " + std::to_string(queues.held) +
                                  " and the device has " +
                                  std::to_string(device.Resources().queues.Available()) + " left");
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void UnbindQueues(Graph& graph) {
  const std::lock_guard lock(TheBindings().mutex);
  Unbind(TheBindings().of_device[graph.In()->OnDevice().Id()], graph);
}

void ReturnIdleQueues(Device& device) {
  const std::lock_guard lock(TheBindings().mutex);
  GraphQueues& queues = TheBindings().of_device[device.Id()];
  device.Resources().queues.Give(queues.held - queues.bound);
  queues.held = queues.bound;
}

Claim ClaimQueue(Context& context) {
  Device& device = context.OnDevice();
  auto alive = Graphs().All();
  {
    const std::lock_guard lock(TheBindings().mutex);
    GraphQueues& queues = TheBindings().of_device[device.Id()];
    while (device.Resources().queues.Available() == 0) {
      if (queues.held > queues.bound) {
        --queues.held;
        device.Resources().queues.Give();
      } else if (!Steal(queues, context, alive)) {
        break;
      }
    }
  }
  return Claim(device.Resources().queues);
}

}  // namespace ascend_sim
