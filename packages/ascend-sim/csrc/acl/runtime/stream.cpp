// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/stream.h"

#include <chrono>

#include "acl/base/config.h"
#include "acl/observe/counters.h"
#include "acl/observe/timeline.h"
#include "acl/runtime/graph_layer.h"

namespace ascend_sim {
namespace {

int32_t NextStreamId() {
  static std::atomic<int32_t> next{0};
  return next.fetch_add(1);
}

// Waits for everything on the stream, without looking at errors.
void Drain(Stream& stream) {
  stream.Queue().Wait(stream.Queue().Submitted());
  stream.IsIdle();
}

// The mode of the stream's whole context; stopping cannot be undone.
void SetFailureMode(Stream& stream, uint64_t mode) {
  Require(mode <= abi::kStopOnFailure, kRtParamInvalid,
          "the mode must be 0 (continue) or 1 (stop)");
  std::atomic<bool>& stops = stream.In()->stop_on_failure;
  const bool stop = mode == abi::kStopOnFailure;
  Require(!stream.IsBound(), kNotSupported, "the stream is bound to a model");
  Require(stop || !stops.load(), kNotSupported,
          "a context that stops on failure cannot go back to continuing");
  stops.store(stop);
}

void Destroy(aclrtStream handle, TaskQueue::Leave leave) {
  const auto stream = Streams().Get(handle);
  Require(!stream->IsDefault(), kRtParamInvalid, "the default stream cannot be destroyed");
  stream->RequireNotCapturing();
  Require(!stream->IsBound(), kStreamModel, "the stream is bound to a model: unbind it first");
  if (!Streams().Remove(handle))
    Raise(kInvalidHandle, "the stream was destroyed by another thread");
  if (leave == TaskQueue::Leave::kDrain) Drain(*stream);
  stream->Queue().Stop(leave);
}

void SynchronizeStream(aclrtStream handle, const Deadline& deadline) {
  const auto stream = StreamArg(handle);
  stream->RequireNotCapturing();
  if (!stream->RunsNothing()) stream->Synchronize(deadline);
}

}  // namespace

Handles<Stream>& Streams() {
  static auto* const streams = new Handles<Stream>("stream", 2);
  return *streams;
}

std::shared_ptr<Stream> Stream::Make(const std::shared_ptr<Context>& context, uint32_t flags,
                                     Kind kind) {
  void* handle = Streams().Reserve();
  auto stream = std::make_shared<Stream>(context, handle, NextStreamId(), flags, kind);
  Streams().Add(handle, stream);
  if (kind != Kind::kCaptured) Add(Count().streams_created);
  return stream;
}

Stream::Stream(std::shared_ptr<Context> context, void* handle, int32_t id, uint32_t flags,
               Kind kind)
    : context_(std::move(context)),
      handle_(handle),
      id_(id),
      flags_(flags),
      kind_(kind),
      stream_id_claim_(kind == Kind::kCaptured ? Claim()
                                               : Claim(OnDevice().Resources().stream_ids)),
      queue_claim_(kind == Kind::kCaptured ? Claim() : TheGraphLayer().ClaimQueue(*context_)),
      target_(TheGraphLayer().MakeTarget()) {
  const auto run = [context = context_, id = id_](const Task& task) {
    Device& device = context->OnDevice();
    const TrackScope track([&] { return TrackName(device.MachineId(), "stream", id); });
    if (context->stop_on_failure.load(std::memory_order_relaxed) && device.Failed()) return;
    device.Execute(task, id);
  };
  queue_ = std::make_shared<TaskQueue>(run, GetConfig().inline_schedule);
  if (OrderObserver* order = OrderObserver::Get()) {
    track_ = order->MakeTrack(OnDevice(), "stream " + std::to_string(id_));
  }
}

uint64_t Stream::Enqueue(Task task, bool may_block) {
  if (OrderObserver* order = OrderObserver::Get()) {
    task.run = [order, track = track_, launched = order->Publish(),
                task = std::make_shared<const Task>(task)] {
      const OrderObserver::Working working(*order, track, launched);
      order->OnTask(*task);
      task->run();
      // What it told the host by its own means is not seen: it may have told everything.
      if (task->kind == TaskKind::kHostFunc && task->waits) order->HostLearns(*track);
    };
  }
  return queue_->Push(std::move(task), may_block);
}

Stream::~Stream() { queue_->Stop(TaskQueue::Leave::kDrop); }

void Stream::Launch(Task task, bool may_block, TaskDetail detail) {
  CountOp(task.name);
  if (target_->Active() && target_->Take(task, std::move(detail))) return;
  if (context_->stop_on_failure.load(std::memory_order_relaxed)) OnDevice().ThrowFailure();
  Add(Count().tasks_launched);
  if (task.kind == TaskKind::kKernel) Add(Count().kernels_launched);
  Enqueue(std::move(task), may_block);
}

void Stream::RequireNotCapturing() const {
  if (IsCapturing()) Raise(kStreamCaptured, "stream " + std::to_string(id_) + " is being captured");
}

void Stream::Synchronize(const Deadline& deadline) {
  Add(Count().synchronizations);
  const uint64_t aborts = queue_->Aborts().first;
  const bool waits = !queue_->Idle();
  const Clock::time_point begin = Clock::now();
  if (!queue_->Wait(queue_->Submitted(), deadline)) {
    Raise(kStreamSyncTimeout,
          "stream " + std::to_string(id_) + " has not finished its work in time");
  }
  if (waits) RecordSpan("synchronize", "synchronize", 0, begin);
  if (track_) OrderObserver::Get()->HostLearns(*track_);
  if (const auto [now, code] = queue_->Aborts(); now != aborts) {
    Raise(code, "the work of stream " + std::to_string(id_) + " was called off meanwhile");
  }
  OnDevice().ThrowReport();
}

bool Stream::IsIdle() {
  const bool idle = queue_->Idle();
  if (idle && track_) OrderObserver::Get()->HostLearns(*track_);
  return idle;
}

std::shared_ptr<Stream> StreamArg(aclrtStream handle) {
  return handle == nullptr ? CurrentContext()->DefaultStream() : Streams().Get(handle);
}

int Launch(void* stream, Task task) noexcept {
  const char* name = task.name;
  return Abi(name, [&] {
    const bool may_block = task.kind == TaskKind::kEventWait || task.kind == TaskKind::kValueWait ||
                           task.kind == TaskKind::kCommunication;
    StreamArg(stream)->Launch(std::move(task), may_block);
  });
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtCreateStreamWithConfig(aclrtStream* stream, uint32_t, uint32_t flags) {
  return Abi("aclrtCreateStreamWithConfig", [&] {
    RequirePtr(stream, "stream");
    *stream = Stream::Make(CurrentContext(), flags)->Handle();
  });
}

ASCEND_SIM_ABI aclError aclrtCreateStream(aclrtStream* stream) {
  return Abi("aclrtCreateStream", [&] {
    RequirePtr(stream, "stream");
    *stream = Stream::Make(CurrentContext(), 0)->Handle();
  });
}

ASCEND_SIM_ABI aclError aclrtDestroyStream(aclrtStream stream) {
  return Abi("aclrtDestroyStream", [&] { Destroy(stream, TaskQueue::Leave::kDrain); });
}

ASCEND_SIM_ABI aclError aclrtDestroyStreamForce(aclrtStream stream) {
  return Abi("aclrtDestroyStreamForce", [&] { Destroy(stream, TaskQueue::Leave::kDrop); });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeStreamWithTimeout(aclrtStream handle, int32_t timeout) {
  return Abi("aclrtSynchronizeStreamWithTimeout",
             [&] { SynchronizeStream(handle, DeadlineFrom(timeout)); });
}

ASCEND_SIM_ABI aclError aclrtSynchronizeStream(aclrtStream stream) {
  return Abi("aclrtSynchronizeStream", [&] { SynchronizeStream(stream, std::nullopt); });
}

ASCEND_SIM_ABI aclError aclrtStreamQuery(aclrtStream handle, int* status) {
  return Abi("aclrtStreamQuery", [&] {
    RequirePtr(status, "status");
    const auto stream = StreamArg(handle);
    stream->RequireNotCapturing();
    if (!stream->RunsNothing()) stream->OnDevice().ThrowFailure();
    *status =
        stream->RunsNothing() || stream->IsIdle() ? abi::kStreamComplete : abi::kStreamNotReady;
  });
}

ASCEND_SIM_ABI aclError aclrtStreamGetId(aclrtStream handle, int32_t* id) {
  return Abi("aclrtStreamGetId", [&] {
    RequirePtr(id, "streamId");
    *id = StreamArg(handle)->Id();
  });
}

ASCEND_SIM_ABI aclError aclrtStreamGetFlags(aclrtStream handle, uint32_t* flags) {
  return Abi("aclrtStreamGetFlags", [&] {
    RequirePtr(flags, "flags");
    *flags = StreamArg(handle)->Flags();
  });
}

ASCEND_SIM_ABI aclError aclrtSetStreamOverflowSwitch(aclrtStream handle, uint32_t flag) {
  return Abi("aclrtSetStreamOverflowSwitch", [&] {
    const auto stream = StreamArg(handle);
    Require(flag <= 1, kRtParamInvalid, "the flag must be 0 (off) or 1 (on)");
    stream->RequireNotCapturing();
    stream->overflow_switch.store(flag == 1);
  });
}

ASCEND_SIM_ABI aclError aclrtGetStreamOverflowSwitch(aclrtStream handle, uint32_t* flag) {
  return Abi("aclrtGetStreamOverflowSwitch", [&] {
    RequirePtr(flag, "flag");
    *flag = StreamArg(handle)->overflow_switch.load() ? 1 : 0;
  });
}

ASCEND_SIM_ABI aclError aclrtSetStreamFailureMode(aclrtStream stream, uint64_t mode) {
  return Abi("aclrtSetStreamFailureMode", [&] { SetFailureMode(*StreamArg(stream), mode); });
}

// The failure mode, and whether to keep the names of operations for graph dumps, which are kept
// anyway. Callers take 107000 for "an attribute that this version does not know".
ASCEND_SIM_ABI aclError aclrtSetStreamAttribute(aclrtStream handle, uint32_t attribute,
                                                const void* value) {
  return Abi("aclrtSetStreamAttribute", [&] {
    RequirePtr(value, "value");
    const auto stream = StreamArg(handle);
    if (attribute == abi::kStreamAttrFailureMode) {
      SetFailureMode(*stream, *static_cast<const uint64_t*>(value));
    } else if (attribute != abi::kStreamAttrCacheOpInfo) {
      Raise(kRtParamInvalid,
            "the stream attribute " + std::to_string(attribute) +
                " is not simulated: only 1 (failure mode) and 4 (operation names) are");
    }
  });
}
