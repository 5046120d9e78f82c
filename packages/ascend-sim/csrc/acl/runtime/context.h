// SPDX-License-Identifier: Apache-2.0
//
// Contexts: what streams, events and graphs belong to, and which one a thread works in.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "abi/acl.h"
#include "acl/base/handle.h"
#include "acl/runtime/device.h"

namespace ascend_sim {

class Stream;

// Numbers of captures begun, by mode. Guarded by the capture mutex (capture.h).
struct ModeCounts {
  int of[3] = {0, 0, 0};
  // The strictest mode present: the smallest value.
  std::optional<abi::CaptureMode> Strictest() const;
};

// Owned by the handle table (explicit contexts) or by its device (primary ones), and by the
// threads, streams and graphs in it. After Release() it is only a husk that keeps those safe.
class Context : public std::enable_shared_from_this<Context> {
 public:
  static std::shared_ptr<Context> Make(Device& device);
  Context(Device& device, void* handle);

  Device& OnDevice() const { return device_; }
  void* Handle() const { return handle_; }

  // The stream that a null handle means; made at the first use.
  std::shared_ptr<Stream> DefaultStream();

  // Drops work, streams and graphs.
  void Release();
  bool Released() const { return released_.load(); }

  std::atomic<bool> stop_on_failure{false};
  ModeCounts captures;  // guarded by the capture mutex
  std::shared_ptr<std::atomic<int>> capturing_streams = std::make_shared<std::atomic<int>>(0);

 private:
  Device& device_;
  void* const handle_;
  std::atomic<bool> released_{false};
  std::mutex mutex_;
  std::shared_ptr<Stream> default_stream_;
};

Handles<Context>& Contexts();

// What a thread carries from call to call.
struct ThreadState {
  std::shared_ptr<Context> context;
  abi::CaptureMode exchange_mode = abi::kCaptureGlobal;
  // Captures begun by this thread; shared with the graphs, which are ended by other threads too.
  std::shared_ptr<ModeCounts> captures = std::make_shared<ModeCounts>();
  void* limits_stream = nullptr;  // aclrtUseStreamResInCurrentThread
};

ThreadState& ThisThread();

// The context this thread works in: that of the default device, if a configuration of aclInit names
// one, in a thread that never had another. Fails with 107002 when there is none.
std::shared_ptr<Context> CurrentContext();

// The device of threads that never chose one; none until it is set.
std::optional<int32_t> DefaultDevice();
void SetDefaultDevice(int32_t device);

}  // namespace ascend_sim
