// SPDX-License-Identifier: Apache-2.0
//
// Streams: FIFO queues of device work. A launch asks the stream's launch target what becomes of the
// task: it is queued, recorded into a graph, or replaces a task of a graph.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>

#include "acl/base/handle.h"
#include "acl/base/task_detail.h"
#include "acl/machine/quota.h"
#include "acl/observe/order.h"
#include "acl/runtime/context.h"
#include "acl/task/launch_target.h"
#include "acl/task/queue.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

// Owned by the handle table and by whoever is using it. Its worker holds only the queue and the
// context.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  // kDefault: the stream a context makes for itself. kCaptured: what a graph keeps in the place of
  // a captured stream; it has an id of its own and no queue (acl/graph/capture_queue.h counts
  // both); no launch is for it.
  enum class Kind { kOrdinary, kDefault, kCaptured };

  static std::shared_ptr<Stream> Make(const std::shared_ptr<Context>& context, uint32_t flags,
                                      Kind kind = Kind::kOrdinary);
  Stream(std::shared_ptr<Context> context, void* handle, int32_t id, uint32_t flags, Kind kind);
  ~Stream();

  void* Handle() const { return handle_; }
  int32_t Id() const { return id_; }
  uint32_t Flags() const { return flags_; }
  // For models, for the CPU's schedule or for the device alone: there is nothing to wait for.
  bool RunsNothing() const {
    return (flags_ &
            (abi::kStreamPersistent | abi::kStreamCpuSchedule | abi::kStreamDeviceUseOnly)) != 0;
  }
  bool IsDefault() const { return kind_ == Kind::kDefault; }
  const std::shared_ptr<Context>& In() const { return context_; }
  Device& OnDevice() const { return context_->OnDevice(); }

  // The entry of all launches: counts the task and does what the state of the stream demands.
  void Launch(Task task, bool may_block = false, TaskDetail detail = {});
  // Puts a task straight into the queue, whatever the state.
  uint64_t Enqueue(Task task, bool may_block = false);

  TaskQueue& Queue() { return *queue_; }
  // Whether nothing is left to do; who is told so may rely on all that was done.
  bool IsIdle();
  // Waits for what was launched so far and throws the device's failure; 507046 at the deadline.
  void Synchronize(const Deadline& deadline = std::nullopt);

  // What launches go to before the queue.
  LaunchTarget& Target() const { return *target_; }
  bool IsCapturing() const { return target_->IsCapturing(); }
  bool IsBound() const { return target_->IsBound(); }
  // Fails with 107027.
  void RequireNotCapturing() const;

  // Whether later tasks are to be watched for overflows. Only kept: in the mode of infinity and
  // NaN, the only one simulated, a device watches none either.
  std::atomic<bool> overflow_switch{false};

  // Core limits by ResLimit; 0 is none.
  std::atomic<uint32_t> core_limits[2] = {0, 0};
  // The callback thread this stream reports to; 0 is none. Guarded by the callback registry
  // (callback.cpp).
  std::atomic<uint64_t> report_thread{0};
  std::atomic<bool> uses_host_func{false};

 private:
  const std::shared_ptr<Context> context_;
  void* const handle_;
  const int32_t id_;
  const uint32_t flags_;
  const Kind kind_;
  Claim stream_id_claim_;
  Claim queue_claim_;
  std::shared_ptr<TaskQueue> queue_;
  const std::unique_ptr<LaunchTarget> target_;
  std::shared_ptr<OrderObserver::Track> track_;  // while somebody follows the order
};

Handles<Stream>& Streams();

// The stream of an argument: null is the default stream of this thread's context.
std::shared_ptr<Stream> StreamArg(aclrtStream handle);

}  // namespace ascend_sim
