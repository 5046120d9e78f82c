// SPDX-License-Identifier: Apache-2.0
//
// Models built without a capture: streams are bound to a model, and work launched on them becomes
// part of it. Only EXTERNAL events and values order the streams.
#include <string>

#include "abi/acl.h"
#include "acl/graph/capture.h"
#include "acl/graph/capture_state.h"
#include "acl/graph/graph.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

std::shared_ptr<Graph> Built(aclmdlRI handle) {
  auto graph = Graphs().Get(handle);
  Require(graph->origin == Graph::Origin::kBuilt, kRtParamInvalid,
          "captured graphs cannot be built: use the capture calls");
  return graph;
}

void RequireBindable(const Stream& stream) {
  const auto has = [&](abi::StreamFlag flag) { return (stream.Flags() & flag) != 0; };
  Require(!has(abi::kStreamDeviceUseOnly), kInternal,
          "streams with the flag DEVICE_USE_ONLY cannot be bound");
  Require(!stream.In()->stop_on_failure.load(), kNotSupported,
          "streams of a context that stops on failure cannot be bound");
  Require(!has(abi::kStreamFastLaunch), kNotSupported,
          "streams with the flag FAST_LAUNCH cannot be bound");
  Require(has(abi::kStreamPersistent), kRtParamInvalid,
          "only streams with the flag PERSISTENT can be bound");
}

void Bind(const std::shared_ptr<Graph>& graph, const std::shared_ptr<Stream>& stream,
          uint32_t flag) {
  Require(flag == abi::kModelStreamHead || flag == abi::kModelStreamDefault, kRtParamInvalid,
          "the flag must be 0 (head) or 0x7fffffff (default)");
  stream->RequireNotCapturing();
  RequireBindable(*stream);
  const std::lock_guard lock(CaptureMutex());
  Require(graph->status.load() == Graph::Status::kBuilding, kRtParamInvalid,
          "the model is complete");
  CaptureState& state = CaptureState::Of(*stream);
  Require(state.Model() == nullptr, kStreamModel, "the stream is already bound to a model");
  Lane lane;
  lane.stream = stream;
  graph->lanes.push_back(std::move(lane));
  state.Bind(graph, graph->lanes.size() - 1);
}

// The caller holds the capture mutex.
Lane& LaneOf(const std::shared_ptr<Graph>& graph, const Stream& stream) {
  const CaptureState& state = CaptureState::Of(stream);
  Require(state.Model() == graph, kStreamModel, "the stream is not bound to this model");
  return graph->lanes[state.ModelLane()];
}

// The work launched on the stream is dropped with it.
void Unbind(const std::shared_ptr<Graph>& graph, Stream& stream) {
  stream.RequireNotCapturing();
  const std::lock_guard lock(CaptureMutex());
  Lane& lane = LaneOf(graph, stream);
  Require(graph->Running() == 0, kModelRunning, "the model is running");
  lane.nodes.clear();
  lane.stream.reset();
  CaptureState::Of(stream).Unbind();
}

// Runs on the model's own queue, without any order with the default stream.
void ExecuteAndWait(Graph& graph, const Deadline& deadline) {
  std::shared_ptr<Stream> stream;
  for (const Lane& lane : graph.lanes) {
    if (!stream) stream = lane.stream.lock();
  }
  if (!stream) stream = graph.In()->DefaultStream();
  graph.ExecuteOn(*stream);
  stream->Synchronize(deadline);
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclmdlRIBuildBegin(aclmdlRI* model, uint32_t flag) {
  return Abi("aclmdlRIBuildBegin", [&] {
    RequirePtr(model, "modelRI");
    Require(flag == 0, kRtParamInvalid, "the flag must be 0");
    *model = Graph::Make(CurrentContext(), Graph::Origin::kBuilt)->Handle();
  });
}

ASCEND_SIM_ABI aclError aclmdlRIBindStream(aclmdlRI model, aclrtStream stream, uint32_t flag) {
  return Abi("aclmdlRIBindStream", [&] { Bind(Built(model), StreamArg(stream), flag); });
}

ASCEND_SIM_ABI aclError aclmdlRIUnbindStream(aclmdlRI model, aclrtStream stream) {
  return Abi("aclmdlRIUnbindStream", [&] { Unbind(Built(model), *StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclmdlRIEndTask(aclmdlRI model, aclrtStream handle) {
  return Abi("aclmdlRIEndTask", [&] {
    const auto graph = Built(model);
    const auto stream = StreamArg(handle);
    stream->RequireNotCapturing();
    const std::lock_guard lock(CaptureMutex());
    LaneOf(graph, *stream);
    graph->ended = true;
  });
}

ASCEND_SIM_ABI aclError aclmdlRIBuildEnd(aclmdlRI model, void* reserve) {
  return Abi("aclmdlRIBuildEnd", [&] {
    const auto graph = Built(model);
    Require(reserve == nullptr, kRtParamInvalid, "reserve must be null");
    const std::lock_guard lock(CaptureMutex());
    if (graph->ended) graph->status.store(Graph::Status::kReady);
  });
}

ASCEND_SIM_ABI aclError aclmdlRIExecute(aclmdlRI model, int32_t timeout) {
  return Abi("aclmdlRIExecute", [&] {
    RequirePtr(model, "modelRI");
    const Deadline deadline = DeadlineFrom(timeout);
    const auto graph = Graphs().Get(model);
    Require(graph->origin == Graph::Origin::kBuilt, kRtParamInvalid,
            "captured graphs are executed with aclmdlRIExecuteAsync");
    Require(graph->In() == CurrentContext(), kModelContext, "the model is of another context");
    ExecuteAndWait(*graph, deadline);
  });
}

// Cancels waiting executions. Only for models: CANN documents that graphs are not supported.
ASCEND_SIM_ABI aclError aclmdlRIAbort(aclmdlRI model) {
  return Abi("aclmdlRIAbort", [&] {
    Require(model != nullptr, kRtParamInvalid, "modelRI is null");
    const auto graph = Graphs().Get(model);
    Require(graph->origin == Graph::Origin::kBuilt, kNotSupported,
            "captured graphs cannot be aborted");
    for (const Lane& lane : graph->lanes) {
      if (const auto stream = lane.stream.lock()) stream->Queue().Abort(kStreamAbort);
    }
  });
}
