// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/binding.h"

#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "acl/graph/capture_queue.h"
#include "acl/graph/graph.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"

namespace ascend_sim {
namespace {

constexpr int64_t kPoolLimit = 1024;

// One device's queues for graphs.
struct Pool {
  int64_t held = 0;   // taken from the device
  int64_t bound = 0;  // and bound to a graph now

  int64_t Free() const { return held - bound; }
};

struct Pools {
  std::mutex mutex;
  std::map<int, Pool> of_device;
};

Pools& ThePools() {
  static auto* const pools = new Pools;
  return *pools;
}

void Unbind(Pool& pool, Graph& graph) {
  pool.bound -= graph.binding.queues;
  graph.binding = {};
}

// Graphs that may have to give up their resources. They must outlive the mutex, which a graph's
// destructor needs too.
using Candidates = std::vector<std::shared_ptr<Graph>>;

// Takes queues and notifies from idle graphs of `context` until `wanted` queues are free (0: from
// one graph). Returns how many it freed.
int64_t Steal(Pool& pool, const Context& context, const Candidates& candidates, int64_t wanted) {
  int64_t freed = 0;
  for (const auto& graph : candidates) {
    if (graph->binding.queues == 0 || graph->Running() > 0 || graph->In().get() != &context) {
      continue;
    }
    freed += graph->binding.queues;
    Unbind(pool, *graph);
    if (freed >= wanted) break;
  }
  return freed;
}

// Frees `wanted` queues in the pool. Those it freed stay there even if they were not enough.
// Returns success or the error code.
int Provide(Pool& pool, Quota& device, int64_t wanted) {
  const int64_t missing = wanted - pool.Free();
  if (missing <= 0) return kSuccess;
  if (pool.held + missing > kPoolLimit) return kInternal;
  const int64_t taken = device.TakeUpTo(missing);
  pool.held += taken;
  return taken == missing ? kSuccess : kResourceAlloc;
}

int64_t StreamsOf(const Graph& graph) {
  int64_t streams = 0;
  for (const Lane* lane : graph.AllLanes()) streams += lane->queue ? lane->queue->Streams() : 0;
  return streams;
}

int64_t EntryBytesOf(const Graph& graph) {
  int64_t bytes = 0;
  for (const Lane* lane : graph.AllLanes()) bytes += lane->queue ? lane->queue->EntryBytes() : 0;
  return bytes;
}

void Bind(Graph& graph, int64_t wanted) {
  Device& device = graph.In()->OnDevice();
  Quota& queues = device.Resources().queues;
  for (;;) {
    const Candidates candidates = Graphs().All();
    {
      const std::lock_guard lock(ThePools().mutex);
      if (graph.binding.queues > 0) return;
      Pool& pool = ThePools().of_device[device.Id()];
      const int code = Provide(pool, queues, wanted);
      if (code == kSuccess) {
        graph.binding.entries = Claim(device.Resources().hbm, EntryBytesOf(graph));
        graph.binding.queues = wanted;
        pool.bound += wanted;
        return;
      }
      Steal(pool, *graph.In(), candidates, wanted);
      if (wanted > pool.held) {
        Raise(code, "the graph needs " + std::to_string(wanted) + " hardware queues; graphs hold " +
                        std::to_string(pool.held) + " (" + std::to_string(pool.Free()) +
                        " of them free, " + std::to_string(kPoolLimit) +
                        " at most) and the device has " + std::to_string(queues.Available()) +
                        " left: capture fewer streams, or destroy graphs");
      }
    }
    Pause();
  }
}

}  // namespace

void BindQueues(Graph& graph) {
  if (!SoftwareQueues()) return;
  {
    // The common case: only idle graphs lose resources, and this one counts as running.
    const std::lock_guard lock(ThePools().mutex);
    if (graph.binding.queues > 0) return;
  }
  const int64_t wanted = StreamsOf(graph);
  if (wanted > kPoolLimit) {
    Raise(kResourceAlloc, "the graph needs " + std::to_string(wanted) +
                              " hardware queues and graphs can have " + std::to_string(kPoolLimit) +
                              " together: capture fewer streams");
  }
  TakeEndNotify(graph);
  Bind(graph, wanted);
}

void UnbindQueues(Graph& graph) {
  const std::lock_guard lock(ThePools().mutex);
  Unbind(ThePools().of_device[graph.In()->OnDevice().Id()], graph);
}

void TakeEndNotify(Graph& graph) {
  constexpr int kAttempts = 3000;
  Device& device = graph.In()->OnDevice();
  for (int attempt = 1;; ++attempt) {
    const Candidates candidates = Graphs().All();
    {
      const std::lock_guard lock(ThePools().mutex);
      if (graph.binding.end_notify.Holds()) return;
      Quota& notifies = device.Resources().notifies;
      if (attempt == kAttempts || notifies.Available() > 0) {
        graph.binding.end_notify = Claim(notifies);
        return;
      }
      Steal(ThePools().of_device[device.Id()], *graph.In(), candidates, 0);
    }
    Pause();
  }
}

void PreallocateQueue(Device& device) {
  const std::lock_guard lock(ThePools().mutex);
  Pool& pool = ThePools().of_device[device.Id()];
  if (pool.held == 0) pool.held = device.Resources().queues.TakeUpTo(1);
}

void ReturnIdleQueues(Device& device) {
  const std::lock_guard lock(ThePools().mutex);
  Pool& pool = ThePools().of_device[device.Id()];
  device.Resources().queues.Give(pool.Free());
  pool.held = pool.bound;
}

Claim ClaimQueue(Context& context) {
  Device& device = context.OnDevice();
  if (!SoftwareQueues()) return Claim(device.Resources().queues);
  const Candidates candidates = Graphs().All();
  {
    const std::lock_guard lock(ThePools().mutex);
    Pool& pool = ThePools().of_device[device.Id()];
    if (device.Resources().queues.Available() == 0) {
      if (pool.Free() == 0) Steal(pool, context, candidates, 1);
      if (pool.Free() > 0) {
        --pool.held;
        device.Resources().queues.Give();
      }
    }
  }
  return Claim(device.Resources().queues);
}

}  // namespace ascend_sim
