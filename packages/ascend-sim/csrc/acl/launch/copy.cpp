// SPDX-License-Identifier: Apache-2.0
//
// Copies and fills. Addresses decide what a copy is; the kind argument is advice.
#include <cstring>
#include <string>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/observe/counters.h"
#include "acl/observe/order.h"
#include "acl/runtime/graph_layer.h"
#include "acl/runtime/memory.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

void CheckCopy(const void* destination, size_t room, const void* source, size_t count) {
  RequirePtr(destination, "dst");
  RequirePtr(source, "src");
  if (count > room) {
    Raise(kRtParamInvalid,
          "count " + std::to_string(count) + " is more than destMax " + std::to_string(room));
  }
  RequireMemory(destination, count, "dst");
  RequireMemory(source, count, "src");
}

// The memory that an asynchronous task touches, if an observer wants it.
std::shared_ptr<const Touches> Touching(Touches touches) {
  return TouchesWanted() ? std::make_shared<const Touches>(std::move(touches)) : nullptr;
}

// The host reads or fills memory at once.
void HostTouch(const char* call, const void* begin, size_t bytes, bool write) {
  if (OrderObserver* order = OrderObserver::Get()) order->OnHostTouch(call, begin, bytes, write);
}

void Copy(void* destination, const void* source, size_t count) {
  std::memmove(destination, source, count);
  Add(Count().bytes_copied, count);
}

void HostCopy(const char* call, void* destination, const void* source, size_t count) {
  HostTouch(call, source, count, /*write=*/false);
  HostTouch(call, destination, count, /*write=*/true);
  Copy(destination, source, count);
}

void CopyAsync(const char* call, void* destination, size_t room, const void* source, size_t count,
               aclrtStream handle) {
  CheckCopy(destination, room, source, count);
  const auto stream = StreamArg(handle);
  const MemoryKind to = Describe(destination).kind;
  const MemoryKind from = Describe(source).kind;
  if (to == MemoryKind::kPageable || from == MemoryKind::kPageable) {
    // The hardware cannot reach pageable memory by itself: the call waits for the stream and
    // copies.
    Require(!stream->IsCapturing(), kRtParamInvalid,
            "pageable host memory cannot be copied in a capture: pin it");
    TheGraphLayer().RequireModeAllows(kCaptureModeBlockAsync);
    stream->Synchronize();
    return HostCopy(call, destination, source, count);
  }
  Require(to == MemoryKind::kDevice || from == MemoryKind::kDevice, kNotSupported,
          "asynchronous copies from host to host are not supported");
  stream->Launch({call, TaskKind::kMemcpy, [=] { Copy(destination, source, count); },
                  Touching({{source, count, false}, {destination, count, true}})});
}

void CheckFill(const void* address, size_t room, size_t count) {
  RequirePtr(address, "devPtr");
  Require(count <= room, kRtParamInvalid, "count is more than maxCount");
  RequireMemory(address, count, "devPtr");
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtMemcpy(void* dst, size_t room, const void* src, size_t count, int) {
  return Abi("aclrtMemcpy", [&] {
    CheckCopy(dst, room, src, count);
    TheGraphLayer().RequireModeAllows(kCaptureModeNotSupport);
    Require(CurrentContext()->OnDevice().aborting.load() == 0, kDeviceTaskAbort,
            "the tasks of the device are being aborted");
    if (dst != src) HostCopy("aclrtMemcpy", dst, src, count);
  });
}

ASCEND_SIM_ABI aclError aclrtMemcpyAsync(void* dst, size_t room, const void* src, size_t count, int,
                                         aclrtStream stream) {
  return Abi("aclrtMemcpyAsync",
             [&] { CopyAsync("aclrtMemcpyAsync", dst, room, src, count, stream); });
}

ASCEND_SIM_ABI aclError aclrtMemcpyAsyncWithCondition(void* dst, size_t room, const void* src,
                                                      size_t count, int, aclrtStream stream) {
  return Abi("aclrtMemcpyAsyncWithCondition",
             [&] { CopyAsync("aclrtMemcpyAsyncWithCondition", dst, room, src, count, stream); });
}

ASCEND_SIM_ABI aclError aclrtMemset(void* address, size_t room, int32_t value, size_t count) {
  return Abi("aclrtMemset", [&] {
    CheckFill(address, room, count);
    TheGraphLayer().RequireModeAllows(kCaptureModeNotSupport);
    HostTouch("aclrtMemset", address, count, /*write=*/true);
    std::memset(address, value, count);
  });
}

ASCEND_SIM_ABI aclError aclrtMemsetAsync(void* address, size_t room, int32_t value, size_t count,
                                         aclrtStream stream) {
  return Abi("aclrtMemsetAsync", [&] {
    CheckFill(address, room, count);
    StreamArg(stream)->Launch({"aclrtMemsetAsync", TaskKind::kMemset,
                               [=] { std::memset(address, value, count); },
                               Touching({{address, count, true}})});
  });
}
