// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/context.h"

#include "acl/runtime/event.h"
#include "acl/runtime/graph_layer.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {

std::optional<abi::CaptureMode> ModeCounts::Strictest() const {
  for (int mode = abi::kCaptureGlobal; mode <= abi::kCaptureRelaxed; ++mode) {
    if (of[mode] > 0) return static_cast<abi::CaptureMode>(mode);
  }
  return std::nullopt;
}

Context::Context(Device& device, void* handle) : device_(device), handle_(handle) {}

std::shared_ptr<Context> Context::Make(Device& device) {
  void* handle = Contexts().Reserve();
  auto context = std::make_shared<Context>(device, handle);
  Contexts().Add(handle, context);
  return context;
}

std::shared_ptr<Stream> Context::DefaultStream() {
  const std::lock_guard lock(mutex_);
  Require(!Released(), kContextNull, "the context was destroyed");
  if (!default_stream_)
    default_stream_ = Stream::Make(shared_from_this(), 0, Stream::Kind::kDefault);
  return default_stream_;
}

void Context::Release() {
  if (released_.exchange(true)) return;
  Contexts().Remove(handle_);
  TheGraphLayer().Abandon(*this);
  for (const auto& event : Events().All()) {
    if (event->In().get() == this) Events().Remove(event->Handle());
  }
  for (const auto& stream : Streams().All()) {
    if (stream->In().get() != this) continue;
    Streams().Remove(stream->Handle());
    stream->Queue().Stop(TaskQueue::Leave::kDrop);
  }
  std::shared_ptr<Stream> default_stream;
  const std::lock_guard lock(mutex_);
  default_stream.swap(default_stream_);
}

Handles<Context>& Contexts() {
  static auto* const contexts = new Handles<Context>("context", 1);
  return *contexts;
}

ThreadState& ThisThread() {
  thread_local ThreadState state;
  return state;
}

namespace {

constexpr int32_t kNone = -1;

std::atomic<int32_t>& DefaultDeviceOrNone() {
  static std::atomic<int32_t> device{kNone};
  return device;
}

}  // namespace

std::optional<int32_t> DefaultDevice() {
  const auto device = DefaultDeviceOrNone().load();
  return device == kNone ? std::nullopt : std::optional(device);
}

void SetDefaultDevice(int32_t device) { DefaultDeviceOrNone().store(device); }

std::shared_ptr<Context> CurrentContext() {
  auto& context = ThisThread().context;
  if (context == nullptr && DefaultDevice()) {
    Device& device = DeviceAt(*DefaultDevice());
    // Not one more user of a device that is in use, who would never reset it.
    context = device.Primary();
    if (context == nullptr) context = device.Open();
  }
  Require(context != nullptr && !context->Released(), kContextNull,
          "this thread has no context: call aclrtSetDevice or aclrtSetCurrentContext first");
  return context;
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtCreateContext(aclrtContext* context, int32_t device) {
  return Abi("aclrtCreateContext", [&] {
    RequirePtr(context, "context");
    auto made = Context::Make(DeviceAt(device));
    *context = made->Handle();
    ThisThread().context = std::move(made);
  });
}

ASCEND_SIM_ABI aclError aclrtDestroyContext(aclrtContext handle) {
  return Abi("aclrtDestroyContext", [&] {
    const auto context = Contexts().Get(handle);
    Require(context->OnDevice().Primary() != context, kRtParamInvalid,
            "this is the primary context of its device: use aclrtResetDevice");
    context->Release();
  });
}

ASCEND_SIM_ABI aclError aclrtGetCurrentContext(aclrtContext* context) {
  return Abi("aclrtGetCurrentContext", [&] {
    RequirePtr(context, "context");
    *context = CurrentContext()->Handle();
  });
}

ASCEND_SIM_ABI aclError aclrtSetCurrentContext(aclrtContext handle) {
  return Abi("aclrtSetCurrentContext", [&] { ThisThread().context = Contexts().Get(handle); });
}

ASCEND_SIM_ABI aclError aclrtCtxGetCurrentDefaultStream(aclrtStream* stream) {
  return Abi("aclrtCtxGetCurrentDefaultStream", [&] {
    RequirePtr(stream, "stream");
    *stream = CurrentContext()->DefaultStream()->Handle();
  });
}
