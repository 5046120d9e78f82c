// SPDX-License-Identifier: Apache-2.0
#include "acl/capture.h"

#include "acl/binding.h"
#include "acl/counters.h"
#include "acl/event.h"
#include "acl/soc.h"
#include "acl/stream.h"
#include "acl/task_group.h"

namespace ascend_sim {
namespace {

bool Invalid(const Graph& graph) { return graph.status.load() == Graph::Status::kInvalidated; }

size_t Join(Graph& graph, Stream& stream) {
  graph.lanes.push_back({.stream = stream.weak_from_this(),
                         .stream_handle = stream.Handle(),
                         .id = stream.Id(),
                         .queue = CaptureQueue(*graph.In()),
                         .nodes = {}});
  stream.graph = graph.shared_from_this();
  stream.lane = graph.lanes.size() - 1;
  stream.RefreshSpecial();
  graph.In()->capturing_streams->fetch_add(1);
  return stream.lane;
}

// All streams and events leave the capture; the modes it stood for go.
void Leave(Graph& graph) {
  for (const Lane& lane : graph.lanes) {
    graph.In()->capturing_streams->fetch_sub(1);
    const auto stream = lane.stream.lock();
    if (!stream) continue;
    stream->graph = nullptr;
    stream->RefreshSpecial();
  }
  for (const auto& weak : graph.events) {
    if (const auto event = weak.lock()) event->captured = {};
  }
  graph.events.clear();
  --graph.In()->captures.of[graph.mode];
  --graph.begun_by_counts->of[graph.mode];
}

// The rule of the join: each forked lane ends with a record that something awaits, and one of these
// waits is on the lane where the capture began.
bool Joined(const Graph& graph) {
  bool reaches_origin = graph.lanes.size() == 1;
  for (size_t i = 1; i < graph.lanes.size(); ++i) {
    const auto& nodes = graph.lanes[i].nodes;
    if (nodes.empty() || nodes.back().type != GraphNode::Type::kRecord || !nodes.back().awaited)
      return false;
    reaches_origin = reaches_origin || nodes.back().awaited_by_origin;
  }
  return reaches_origin;
}

// Runs what takes resources for `graph`; a failure is the end of the capture.
template <class Body>
void OrInvalidate(Graph& graph, Body&& take) {
  try {
    take();
  } catch (const Failure&) {
    Invalidate(graph);
    throw;
  }
}

// Records are hardware events while there are plenty, and words of memory (which cost nothing that
// is counted) when these get scarce, on chips that can wait for words.
void TakeEventId(Graph& graph) {
  constexpr int64_t kReserved = 8192;
  Quota& events = graph.In()->OnDevice().Resources().events;
  if (ThisSoc().family->value_wait && events.Available() <= kReserved) return;
  graph.event_ids.emplace_back(events);
}

void AppendNode(Graph& graph, size_t lane, GraphNode node) {
  if (Invalid(graph)) return;  // swallowed: the end of the capture will fail
  AdmitToGroup(graph, lane, node);
  OrInvalidate(graph, [&] {
    graph.lanes[lane].queue.Add();
    if (node.type == GraphNode::Type::kRecord) TakeEventId(graph);
  });
  graph.lanes[lane].nodes.push_back(std::move(node));
  Add(Count().tasks_captured);
}

void Conflict(Graph& one, Graph& other) {
  Invalidate(one);
  Invalidate(other);
  Raise(kCaptureConflict, "the event belongs to another capture; both captures are invalidated");
}

void AppendWait(Graph& graph, size_t lane, Event& event) {
  if (Invalid(graph)) return;
  GraphNode& record = graph.lanes[event.captured.lane].nodes[event.captured.node];
  GraphNode wait;
  wait.type = GraphNode::Type::kWait;
  wait.task = {"aclrtStreamWaitEvent", TaskKind::kEventWait, nullptr};
  wait.latch = record.latch;
  record.awaited = true;
  record.awaited_by_origin = record.awaited_by_origin || lane == 0;
  AppendNode(graph, lane, std::move(wait));
}

}  // namespace

std::mutex& CaptureMutex() {
  static auto* const mutex = new std::mutex;
  return *mutex;
}

void Invalidate(Graph& graph) { graph.status.store(Graph::Status::kInvalidated); }

void AbandonGraphs(const Context& context) {
  const auto all =
      Graphs().All();  // outlives the lock: a graph's destructor does more than this needs
  const std::lock_guard lock(CaptureMutex());
  for (const auto& graph : all) {
    if (graph->In().get() != &context) continue;
    if (graph->status.load() != Graph::Status::kReady) Leave(*graph);
    Forget(*graph);
  }
}

bool LaunchSpecial(Stream& stream, Task& task) {
  const std::lock_guard lock(CaptureMutex());
  if (stream.graph) {
    GraphNode node;
    node.task = std::move(task);
    AppendNode(*stream.graph, stream.lane, std::move(node));
    return true;
  }
  if (stream.update) task = UpdateNext(stream, std::move(task));
  return false;
}

bool CaptureRecord(Stream& stream, Event& event) {
  const std::lock_guard lock(CaptureMutex());
  if (!stream.graph) {
    Require(event.captured.graph == nullptr, kEventCaptured,
            "the event is part of a capture; recording it outside would break its waits");
    return false;
  }
  Graph& graph = *stream.graph;
  Require(event.ModeOf() == Event::Mode::kEx, kNotSupported,
          "only events of aclrtCreateEventExWithFlag can be captured");
  if (!event.Has(abi::kEventSync)) return true;  // it cannot order streams: nothing to capture
  if (event.captured.graph && event.captured.graph.get() != &graph)
    Conflict(graph, *event.captured.graph);
  if (Invalid(graph)) return true;
  GraphNode node;
  node.type = GraphNode::Type::kRecord;
  node.task = {"aclrtRecordEvent", TaskKind::kEventRecord, nullptr};
  node.latch = graph.latches++;
  AppendNode(graph, stream.lane, std::move(node));
  graph.events.push_back(event.weak_from_this());
  event.captured = {stream.graph, stream.lane, graph.lanes[stream.lane].nodes.size() - 1};
  return true;
}

bool CaptureWait(Stream& stream, Event& event) {
  const std::lock_guard lock(CaptureMutex());
  if (const auto& graph = event.captured.graph) {
    Require(!stream.IsDefault(), kCaptureImplicit,
            "the default stream cannot be drawn into a capture");
    if (stream.graph && stream.graph != graph) Conflict(*graph, *stream.graph);
    if (stream.graph == nullptr) OrInvalidate(*graph, [&] { Join(*graph, stream); });
    AppendWait(*graph, stream.lane, event);
    return true;
  }
  if (!stream.graph) return false;
  Require(event.ModeOf() == Event::Mode::kEx && event.Has(abi::kEventSync), kNotSupported,
          "only Ex events with the SYNC flag can be awaited in a capture");
  Require(event.Latest() == nullptr, kCaptureDependency,
          "the event was recorded outside this capture: a graph cannot depend on it");
  return true;  // never recorded: nothing to wait for
}

bool IsCapturing(const Stream& stream) {
  if (!stream.Special()) return false;
  const std::lock_guard lock(CaptureMutex());
  return stream.graph != nullptr;
}

void RequireNotCapturing(const Stream& stream) {
  if (IsCapturing(stream))
    Raise(kStreamCaptured, "stream " + std::to_string(stream.Id()) + " is being captured");
}

void RequireNotCaptured(const Event& event) {
  const std::lock_guard lock(CaptureMutex());
  Require(event.captured.graph == nullptr, kEventCaptured, "the event is part of a capture");
}

void RequireModeAllows(int code) {
  const auto context = CurrentContext();
  const ThreadState& thread = ThisThread();
  const std::lock_guard lock(CaptureMutex());
  const auto context_mode = context->captures.Strictest();
  if (!context_mode || thread.exchange_mode == abi::kCaptureRelaxed) return;
  const auto thread_mode = thread.captures->Strictest();
  const bool forbidden =
      thread.exchange_mode == abi::kCaptureGlobal
          ? *context_mode == abi::kCaptureGlobal || thread_mode == abi::kCaptureThreadLocal
          : thread_mode == abi::kCaptureGlobal || thread_mode == abi::kCaptureThreadLocal;
  Require(!forbidden, code,
          "synchronous copies and fills are forbidden by the mode of a capture in progress; use "
          "the asynchronous "
          "call or aclmdlRICaptureThreadExchangeMode");
}

namespace {

void RequireMode(int mode) {
  Require(mode >= abi::kCaptureGlobal && mode <= abi::kCaptureRelaxed, kRtParamInvalid,
          "the capture mode must be 0 (global), 1 (thread local) or 2 (relaxed)");
}

void Begin(aclrtStream handle, int mode) {
  const auto stream = Streams().Get(handle);
  RequireMode(mode);
  const auto context = CurrentContext();
  Require(stream->In() == context, kStreamContext, "the stream belongs to another context");
  Require(!stream->IsDefault(), kNotSupported, "the default stream cannot be captured");
  const std::lock_guard lock(CaptureMutex());
  Require(stream->graph == nullptr, kStreamCaptured, "the stream is being captured already");
  Require(stream->update == nullptr, kTaskGroupStatus, "the stream is updating a task group");
  const auto graph = Graph::Make(context, static_cast<abi::CaptureMode>(mode));
  try {
    Join(*graph, *stream);
  } catch (...) {
    Graphs().Remove(graph->Handle());
    throw;
  }
  ++context->captures.of[mode];
  ++graph->begun_by_counts->of[mode];
}

// Checks in the order that callers can observe. What fails after the first two takes the graph with
// it, except for the wrong thread.
std::shared_ptr<Graph> End(Stream& stream, aclmdlRI* out) {
  const std::lock_guard lock(CaptureMutex());
  const std::shared_ptr<Graph> graph = stream.graph;
  Require(graph != nullptr, kStreamNotCaptured, "the stream is not being captured");
  Require(stream.lane == 0, kCaptureUnmatched, "the capture began on another stream: end it there");
  Require(out != nullptr, kRtParamInvalid, "the place for the graph is null");
  *out = nullptr;
  Leave(*graph);
  if (graph->mode != abi::kCaptureRelaxed && graph->begun_by != std::this_thread::get_id()) {
    graph->status.store(Graph::Status::kReady);
    Raise(kCaptureWrongThread,
          "the capture was begun by another thread and its mode is not relaxed");
  }
  const auto destroy_and_raise = [&](int code, const char* why) {
    Forget(*graph);
    Raise(code, why);
  };
  if (Invalid(*graph))
    destroy_and_raise(kCaptureInvalidated, "the capture was invalidated by an earlier error");
  if (graph->open_group) destroy_and_raise(kTaskGroupStatus, "a task group was not closed");
  if (!Joined(*graph)) {
    destroy_and_raise(
        kStreamUnjoined,
        "a stream drawn into the capture was not joined: record an event as its last work and wait "
        "for it on the stream where the capture began");
  }
  graph->status.store(Graph::Status::kReady);
  return graph;
}

// Waits, so without the capture mutex.
void TakeEndNotifyOrForget(Graph& graph) {
  try {
    TakeEndNotify(graph);
  } catch (const Failure&) {
    Forget(graph);
    throw;
  }
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclmdlRICaptureBegin(aclrtStream stream, int mode) {
  return Abi("aclmdlRICaptureBegin", [&] { Begin(stream, mode); });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI* model) {
  return Abi("aclmdlRICaptureEnd", [&] {
    const auto graph = End(*Streams().Get(handle), model);
    if (!SoftwareQueues()) TakeEndNotifyOrForget(*graph);
    *model = graph->Handle();
    Add(Count().graphs_captured);
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureGetInfo(aclrtStream handle, int* status, aclmdlRI* model) {
  return Abi("aclmdlRICaptureGetInfo", [&] {
    Require(status != nullptr || model != nullptr, kInvalidParam, "status and model are both null");
    const auto stream = StreamArg(handle);
    int current = abi::kCaptureNone;
    aclmdlRI graph = nullptr;
    if (stream->Special()) {
      const std::lock_guard lock(CaptureMutex());
      if (stream->graph) {
        current = Invalid(*stream->graph) ? abi::kCaptureStatusInvalidated : abi::kCaptureActive;
        graph = stream->graph->Handle();
      }
    }
    if (status != nullptr) *status = current;
    if (model != nullptr) *model = graph;
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureThreadExchangeMode(int* mode) {
  return Abi("aclmdlRICaptureThreadExchangeMode", [&] {
    RequirePtr(mode, "mode");
    CurrentContext();
    RequireMode(*mode);
    *mode = std::exchange(ThisThread().exchange_mode, static_cast<abi::CaptureMode>(*mode));
  });
}
