// SPDX-License-Identifier: Apache-2.0
//
// The ABI of finished graphs: execution, destruction, introspection.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include "abi/acl.h"
#include "acl/graph/capture.h"
#include "acl/graph/capture_queue.h"
#include "acl/graph/graph.h"
#include "acl/observe/counters.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

void RequireFinished(const Graph& graph) {
  const auto status = graph.status.load();
  Require(status != Graph::Status::kCapturing && status != Graph::Status::kInvalidated,
          kModelCaptured, "the graph is still being captured");
}

void RequireNoChild(const Graph& graph) {
  Require(!graph.IsChild(), kNotSupported,
          "the graph of a condition cannot be used by itself: use the graph it belongs to");
}

// ACL's task types, as JSON shows them.
const char* TaskType(TaskKind kind) {
  switch (kind) {
    case TaskKind::kKernel:
      return "KERNEL_AICORE";
    case TaskKind::kMemcpy:
      return "MEMCPY_ASYNC";
    case TaskKind::kMemset:
      return "MEMSET_ASYNC";
    case TaskKind::kHostFunc:
      return "HOST_FUNC";
    case TaskKind::kEventRecord:
      return "EVENT_RECORD";
    case TaskKind::kEventWait:
      return "EVENT_WAIT";
    case TaskKind::kEventReset:
      return "EVENT_RESET";
    case TaskKind::kValueWrite:
      return "MEM_WRITE_VALUE";
    case TaskKind::kValueWait:
      return "MEM_WAIT_VALUE";
    case TaskKind::kCommunication:
      return "FFTS_PLUS";
  }
  return "DEFAULT";
}

// One event in Chrome's trace format per task. Nothing was measured, so ts is the position in the
// stream.
void PrintTrace(const Graph& graph, std::ostream& out) {
  const char* separator = "[\n";
  for (const Lane& lane : graph.lanes) {
    const auto member = lane.Member();
    const int32_t stream = member ? member->Id() : -1;
    for (size_t task = 0; task < lane.nodes.size(); ++task) {
      const GraphNode& node = lane.nodes[task];
      out << separator << R"({"name": ")" << node.task.name << R"(", "pid": ")" << getpid()
          << R"( aclGraph", "tid": "stream)" << stream << R"(", "ts": )" << task
          << R"(, "dur": 1, "ph": "X", "args": {"Model Id": )" << graph.Id() << R"(, "Stream Id": )"
          << stream << R"(, "Task Id": )" << task << R"(, "Task Type": ")"
          << (node.condition ? "CONDITION" : TaskType(node.task.kind)) << '"';
      if (node.task.kind == TaskKind::kKernel) out << R"(, "Numblocks": 1)";
      if (const auto* value = std::get_if<ValueDetail>(&node.detail)) {
        out << R"(, "ExtendInfo": "address )" << value->word << ", value " << value->value << '"';
      }
      out << "}}";
      separator = ",\n";
    }
  }
  out << (graph.lanes.empty() || *separator == '[' ? "[]\n" : "\n]\n");
}

void Destroy(aclmdlRI handle) {
  const auto graph = Graphs().Get(handle);
  RequireNoChild(*graph);
  RequireFinished(*graph);
  constexpr auto kPatience = std::chrono::seconds(10);
  // Only the software-queue mode knows that a graph is running. Here the graph lives until its
  // replays have ended.
  const bool waits = SoftwareQueues();
  for (const auto end = Clock::now() + kPatience; waits && graph->Running() > 0;) {
    Require(Clock::now() < end, kModelRunning, "the graph did not finish within 10 s");
    Pause();
  }
  if (!Graphs().Remove(handle)) Raise(kInvalidHandle, "the graph was destroyed by another thread");
  Forget(*graph);
  Add(Count().graphs_destroyed);
  decltype(graph->destroy_callbacks) callbacks;
  {
    const std::lock_guard lock(graph->mutex);
    callbacks.swap(graph->destroy_callbacks);
  }
  for (const auto& [function, data] : callbacks) function(data);
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclmdlRIExecuteAsync(aclmdlRI handle, aclrtStream stream_handle) {
  return Abi("aclmdlRIExecuteAsync", [&] {
    const auto graph = Graphs().Get(handle);
    const auto stream = StreamArg(stream_handle);
    Require(!stream->IsBound(), kRtParamInvalid, "the stream is bound to a model itself");
    stream->RequireNotCapturing();
    RequireNoChild(*graph);
    RequireFinished(*graph);
    const auto context = CurrentContext();
    Require(graph->In() == context, kModelContext, "the graph belongs to another context");
    Require(stream->In() == context, kStreamContext, "the stream belongs to another context");
    if (context->stop_on_failure.load()) context->OnDevice().ThrowFailure();
    graph->ExecuteOn(*stream);
  });
}

ASCEND_SIM_ABI aclError aclmdlRIDestroy(aclmdlRI handle) {
  return Abi("aclmdlRIDestroy", [&] { Destroy(handle); });
}

ASCEND_SIM_ABI aclError aclmdlRIDestroyRegisterCallback(aclmdlRI handle,
                                                        aclmdlRIDestroyCallback function,
                                                        void* data) {
  return Abi("aclmdlRIDestroyRegisterCallback", [&] {
    RequirePtr(reinterpret_cast<const void*>(function), "func");
    const auto graph = Graphs().Get(handle);
    const std::lock_guard lock(graph->mutex);
    graph->destroy_callbacks.emplace_back(function, data);
  });
}

ASCEND_SIM_ABI aclError aclmdlRIDestroyUnregisterCallback(aclmdlRI handle,
                                                          aclmdlRIDestroyCallback function) {
  return Abi("aclmdlRIDestroyUnregisterCallback", [&] {
    RequirePtr(reinterpret_cast<const void*>(function), "func");
    const auto graph = Graphs().Get(handle);
    const std::lock_guard lock(graph->mutex);
    const auto removed = std::erase_if(graph->destroy_callbacks,
                                       [&](const auto& entry) { return entry.first == function; });
    Require(removed > 0, kRtParamInvalid, "the callback is not registered with this graph");
  });
}

ASCEND_SIM_ABI aclError aclmdlRIGetId(aclmdlRI handle, uint32_t* id) {
  return Abi("aclmdlRIGetId", [&] {
    RequirePtr(id, "modelRIId");
    *id = Graphs().Get(handle)->Id();
  });
}

ASCEND_SIM_ABI aclError aclmdlRISetName(aclmdlRI handle, const char* name) {
  return Abi("aclmdlRISetName", [&] {
    RequirePtr(name, "name");
    const auto graph = Graphs().Get(handle);
    const std::lock_guard lock(graph->mutex);
    graph->name = name;
  });
}

ASCEND_SIM_ABI aclError aclmdlRIGetName(aclmdlRI handle, uint32_t room, char* name) {
  return Abi("aclmdlRIGetName", [&] {
    RequirePtr(name, "name");
    const auto graph = Graphs().Get(handle);
    const std::lock_guard lock(graph->mutex);
    Require(room > graph->name.size(), kRtParamInvalid, "the buffer is too short for the name");
    std::snprintf(name, room, "%s", graph->name.c_str());
  });
}

// Without an array, returns how many streams were captured. With one, fills in as many as fit, and
// null in the rest.
ASCEND_SIM_ABI aclError aclmdlRIGetStreams(aclmdlRI handle, aclrtStream* streams,
                                           uint32_t* number) {
  return Abi("aclmdlRIGetStreams", [&] {
    RequirePtr(number, "numStreams");
    const auto graph = Graphs().Get(handle);
    RequireNoChild(*graph);
    RequireFinished(*graph);
    const auto present = static_cast<uint32_t>(graph->lanes.size());
    const uint32_t room = std::exchange(*number, present);
    if (streams == nullptr) return;
    for (uint32_t i = 0; i < room; ++i) {
      const auto member = i < present ? graph->lanes[i].Member() : nullptr;
      streams[i] = member ? member->Handle() : nullptr;
    }
    Require(room >= present, kShortArray, "the array is shorter than the number of streams");
  });
}

// A flag of 1 requests kernel arguments, which a simulated kernel does not have.
ASCEND_SIM_ABI aclError aclmdlRIDebugJsonPrint(aclmdlRI handle, const char* path, uint32_t) {
  return Abi("aclmdlRIDebugJsonPrint", [&] {
    RequirePtr(path, "path");
    const auto graph = Graphs().Get(handle);
    RequireNoChild(*graph);
    RequireFinished(*graph);
    std::ofstream file(path);
    if (!file)
      Raise(kRtParamInvalid,
            std::string("cannot write to \"") + path + "\": " + std::strerror(errno));
    PrintTrace(*graph, file);
  });
}

ASCEND_SIM_ABI aclError aclmdlRIDebugPrint(aclmdlRI handle) {
  return Abi("aclmdlRIDebugPrint", [&] {
    const auto graph = Graphs().Get(handle);
    RequireFinished(*graph);
    size_t tasks = 0;
    for (const Lane& lane : graph->lanes) tasks += lane.nodes.size();
    std::printf("aclGraph %u: %zu streams, %zu tasks, %zu task groups\n", graph->Id(),
                graph->lanes.size(), tasks, graph->groups.size());
  });
}
