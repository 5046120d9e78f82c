// SPDX-License-Identifier: Apache-2.0
#include "acl/graph/capture.h"

#include <algorithm>

#include "acl/base/soc.h"
#include "acl/graph/binding.h"
#include "acl/graph/capture_state.h"
#include "acl/graph/condition.h"
#include "acl/graph/task_group.h"
#include "acl/observe/counters.h"
#include "acl/observe/timeline.h"
#include "acl/runtime/event.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

bool Invalid(const Graph& graph) { return graph.status.load() == Graph::Status::kInvalidated; }

// Removes all streams and events from the capture, and its modes. Does the same for its children.
void Leave(Graph& graph) {
  for (const auto& condition : graph.conditions) {
    for (const auto& branch : condition->branches) Leave(*branch);
  }
  if (!std::exchange(graph.recording, false)) return;
  for (const Lane& lane : graph.lanes) {
    graph.In()->capturing_streams->fetch_sub(1);
    if (const auto stream = lane.stream.lock()) CaptureState::Of(*stream).EndCapture();
  }
  for (const auto& weak : graph.events) {
    if (const auto event = weak.lock()) event->captured = {};
  }
  graph.events.clear();
  --graph.In()->captures.of[graph.mode];
  --graph.begun_by_counts->of[graph.mode];
}

// The join rule: each forked lane ends with a record that some lane waits for, and the lane where
// the capture began has one of these waits.
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

// Runs a function that takes resources for `graph`. A failure ends the capture.
template <class Body>
void OrInvalidate(Graph& graph, Body&& take) {
  try {
    take();
  } catch (const Failure&) {
    Invalidate(graph);
    throw;
  }
}

// Records use hardware events while there are plenty. When events get scarce, they use words of
// memory, which are not counted, on chips that can wait for words.
void TakeEventId(Graph& graph) {
  constexpr int64_t kReserved = 8192;
  Quota& events = graph.In()->OnDevice().Resources().events;
  if (ThisSoc().family->value_wait && events.Available() <= kReserved) return;
  graph.event_ids.emplace_back(events);
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
  wait.detail = event.Detail();
  wait.latch = record.latch;
  record.awaited = true;
  record.awaited_by_origin = record.awaited_by_origin || lane == 0;
  AppendNode(graph, lane, std::move(wait));
}

// Whether the capture of every child has ended.
bool ChildrenReady(const Graph& graph) {
  for (const auto& condition : graph.conditions) {
    for (const auto& branch : condition->branches) {
      if (branch->status.load() != Graph::Status::kReady) return false;
    }
  }
  return true;
}

}  // namespace

void AppendNode(Graph& graph, size_t lane, GraphNode node) {
  if (Invalid(graph)) return;  // dropped: ending the capture will fail
  if (OrderObserver* order = OrderObserver::Get()) node.blocks = order->SerialsOf(node.task);
  AdmitToGroup(graph, lane, node);
  OrInvalidate(graph, [&] {
    graph.lanes[lane].queue->Add();
    if (node.type == GraphNode::Type::kRecord) TakeEventId(graph);
  });
  graph.lanes[lane].nodes.push_back(std::move(node));
  Add(Count().tasks_captured);
}

size_t Join(Graph& graph, Stream& stream) {
  Lane lane;
  lane.stream = stream.weak_from_this();
  lane.queue.emplace(*graph.In());
  lane.captured = Stream::Make(graph.In(), stream.Flags(), Stream::Kind::kCaptured);
  const size_t index = graph.lanes.size();
  CaptureState::Of(*lane.captured).Bind(graph.shared_from_this(), index);
  graph.lanes.push_back(std::move(lane));
  CaptureState::Of(stream).BeginCapture(graph.shared_from_this(), index);
  graph.In()->capturing_streams->fetch_add(1);
  return index;
}

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
    Leave(*graph);
    Forget(*graph);
  }
}

bool CaptureRecord(Stream& stream, Event& event) {
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  if (!state.Capture()) {
    Require(event.captured.graph == nullptr, kEventCaptured,
            "the event is part of a capture; recording it outside would break its waits");
    return false;
  }
  Graph& graph = *state.Capture();
  Require(event.ModeOf() == Event::Mode::kEx, kNotSupported,
          "only events of aclrtCreateEventExWithFlag can be captured");
  if (!event.Has(abi::kEventSync)) return true;  // it cannot order streams: nothing to capture
  if (event.captured.graph && event.captured.graph.get() != &graph)
    Conflict(graph, *event.captured.graph);
  if (Invalid(graph)) return true;
  GraphNode node;
  node.type = GraphNode::Type::kRecord;
  node.task = {"aclrtRecordEvent", TaskKind::kEventRecord, nullptr};
  node.detail = event.Detail();
  node.latch = graph.latches++;
  const size_t lane = state.CaptureLane();
  AppendNode(graph, lane, std::move(node));
  graph.events.push_back(event.weak_from_this());
  event.captured = {state.Capture(), lane, graph.lanes[lane].nodes.size() - 1};
  return true;
}

bool CaptureWait(Stream& stream, Event& event) {
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  if (const auto& graph = event.captured.graph) {
    Require(!stream.IsDefault(), kCaptureImplicit,
            "the default stream cannot be drawn into a capture");
    if (state.Capture() && state.Capture() != graph) Conflict(*graph, *state.Capture());
    if (!state.Capture()) OrInvalidate(*graph, [&] { Join(*graph, stream); });
    AppendWait(*graph, state.CaptureLane(), event);
    return true;
  }
  if (!state.Capture()) return false;
  Require(event.ModeOf() == Event::Mode::kEx && event.Has(abi::kEventSync), kNotSupported,
          "only Ex events with the SYNC flag can be awaited in a capture");
  Require(event.Latest() == nullptr, kCaptureDependency,
          "the event was recorded outside this capture: a graph cannot depend on it");
  return true;  // never recorded: nothing to wait for
}

void CaptureExternal(Stream& stream, Event& event, bool records) {
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  Require(state.Capture() != nullptr, kStreamNotCaptured,
          "external records and waits belong to graphs: the stream is not being captured");
  Graph& graph = *state.Capture();
  Require(event.ModeOf() == Event::Mode::kEx && event.HasOnly(abi::kEventSync), kNotSupported,
          "only Ex events with exactly the SYNC flag can be recorded or awaited externally");
  RequireSoftwareQueues("external records and waits");
  Require(!graph.IsChild(), kNotSupported,
          "external records and waits cannot be in the graph of a condition");
  const bool used = std::any_of(graph.externals.begin(), graph.externals.end(),
                                [&](const ExternalUse& use) { return use.event.get() == &event; });
  Require(
      !used, kRtParamInvalid,
      "this graph already uses the event externally: it can record it once or wait for it once");
  GraphNode node;
  node.type = GraphNode::Type::kExternal;
  node.task = {records ? "aclrtRecordEventWithFlag" : "aclrtStreamWaitEventWithFlag",
               records ? TaskKind::kEventRecord : TaskKind::kEventWait, nullptr};
  node.detail = event.Detail(/*external=*/true);
  node.latch = graph.externals.size();
  AppendNode(graph, state.CaptureLane(), std::move(node));
  graph.externals.push_back({event.shared_from_this(), records});
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

// Streams that schedule the CPU or belong to the device cannot be captured.
void RequireCapturable(const Stream& stream) {
  constexpr uint32_t kForbidden = abi::kStreamCpuSchedule | abi::kStreamDeviceUseOnly;
  Require((stream.Flags() & kForbidden) == 0, kInternal,
          "streams with the flag CPU_SCHEDULE or DEVICE_USE_ONLY cannot be captured");
}

// Begins a capture into a new graph, or into a given child.
void Begin(aclrtStream handle, int mode, std::shared_ptr<Graph> child = nullptr) {
  const auto stream = Streams().Get(handle);
  RequireMode(mode);
  RequireCapturable(*stream);
  Require(child == nullptr || child->IsChild(), kRtParamInvalid,
          "only the graphs of a condition can be captured into");
  const auto context = CurrentContext();
  Require(stream->In() == context, kStreamContext, "the stream belongs to another context");
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(*stream);
  Require(state.Model() == nullptr, kStreamModel, "the stream is bound to a model");
  Require(!stream->IsDefault(), kNotSupported, "the default stream cannot be captured");
  Require(state.Capture() == nullptr, kStreamCaptured, "the stream is already being captured");
  Require(state.Update() == nullptr, kTaskGroupStatus, "the stream is updating a task group");
  Require(child == nullptr || child->lanes.empty(), kModelCaptured,
          "this graph of a condition already has a capture");
  const auto graph = child ? child : Graph::Make(context, Graph::Origin::kCaptured);
  try {
    Join(*graph, *stream);
  } catch (...) {
    if (!child) Graphs().Remove(graph->Handle());
    throw;
  }
  graph->recording = true;
  graph->mode = static_cast<abi::CaptureMode>(mode);
  graph->begun_by = std::this_thread::get_id();
  graph->begun_by_counts = ThisThread().captures;
  ++context->captures.of[mode];
  ++graph->begun_by_counts->of[mode];
}

// Makes its checks in the order that callers can observe. A failure after the first three checks
// destroys the graph, except for a call from the wrong thread. `out` is null after a failure; a
// child needs no `out`.
std::shared_ptr<Graph> End(Stream& stream, aclmdlRI* out) {
  const auto now = CurrentContext();
  const std::lock_guard lock(CaptureMutex());
  const CaptureState& state = CaptureState::Of(stream);
  const std::shared_ptr<Graph> graph = state.Capture();
  Require(graph == nullptr || graph->IsChild() || out != nullptr, kRtParamInvalid,
          "the place for the graph is null");
  if (out != nullptr && (graph == nullptr || !graph->IsChild())) *out = nullptr;
  Require(stream.In() == now, kStreamContext, "the stream belongs to another context");
  Require(state.Model() == nullptr, kStreamModel, "the stream is bound to a model");
  Require(graph != nullptr, kStreamNotCaptured, "the stream is not being captured");
  Require(state.CaptureLane() == 0, kCaptureUnmatched,
          "the capture began on another stream: end it there");
  const bool complete = ChildrenReady(*graph);
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
  if (!complete) {
    destroy_and_raise(kChildCapturing,
                      "the graph of a condition was not captured, or its capture was not ended");
  }
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

// Waits, so the capture mutex is not held.
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

ASCEND_SIM_ABI aclError aclmdlRICaptureToModelRIBegin(aclrtStream stream, aclmdlRI model,
                                                      int mode) {
  return Abi("aclmdlRICaptureToModelRIBegin", [&] {
    Streams().Get(stream);
    Begin(stream, mode, Graphs().Get(model));
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureEnd(aclrtStream handle, aclmdlRI* model) {
  return Abi("aclmdlRICaptureEnd", [&] {
    const auto graph = End(*Streams().Get(handle), model);
    if (!SoftwareQueues()) TakeEndNotifyOrForget(*graph);
    if (model != nullptr) *model = graph->Handle();
    Add(Count().graphs_captured);
    RecordSpan("capture", "capture", graph->Id(), graph->begun_at);
  });
}

ASCEND_SIM_ABI aclError aclmdlRICaptureGetInfo(aclrtStream handle, int* status, aclmdlRI* model) {
  return Abi("aclmdlRICaptureGetInfo", [&] {
    Require(status != nullptr || model != nullptr, kInvalidParam, "status and model are both null");
    const auto stream = StreamArg(handle);
    int current = abi::kCaptureNone;
    aclmdlRI graph = nullptr;
    if (const CaptureState& state = CaptureState::Of(*stream); state.Active()) {
      const std::lock_guard lock(CaptureMutex());
      if (const auto& capture = state.Capture()) {
        current = Invalid(*capture) ? abi::kCaptureStatusInvalidated : abi::kCaptureActive;
        graph = capture->Handle();
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
