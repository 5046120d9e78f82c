// SPDX-License-Identifier: Apache-2.0
//
// Host functions as work of streams. Two families, which must not be mixed on one stream: functions
// that run on a thread of the runtime (aclrtLaunchHostFunc), and callbacks that run where a
// subscribed thread of the caller waits for them in aclrtProcessReport.
#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/runtime/stream.h"
#include "acl/task/wait.h"

namespace ascend_sim {
namespace {

struct Report {
  aclrtCallback function;
  void* data;
  std::shared_ptr<Signal> done;
};

// What waits for one subscribed thread. Owned by the registry and by the tasks that report to it.
class ReportQueue {
 public:
  void Add(Report report) {
    {
      const std::lock_guard lock(mutex_);
      reports_.push_back(std::move(report));
    }
    added_.notify_all();
  }

  // Runs what is there, waiting for the first; false at the deadline.
  bool Process(const Deadline& deadline) {
    std::deque<Report> reports;
    {
      std::unique_lock lock(mutex_);
      if (!WaitUntil(lock, added_, deadline, [this] { return !reports_.empty(); })) return false;
      reports.swap(reports_);
    }
    for (const Report& report : reports) {
      report.function(report.data);
      report.done->Set();
    }
    return true;
  }

  int subscribers = 0;  // guarded by the registry

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<Report> reports_;
};

// Subscribed threads by id (pthread_self).
struct Registry {
  std::mutex mutex;
  std::map<uint64_t, std::shared_ptr<ReportQueue>> queues;
};

Registry& TheRegistry() {
  static auto* const registry = new Registry;
  return *registry;
}

// The queue of a thread; null when it is not subscribed.
std::shared_ptr<ReportQueue> QueueOf(uint64_t thread) {
  const std::lock_guard lock(TheRegistry().mutex);
  const auto found = TheRegistry().queues.find(thread);
  return found == TheRegistry().queues.end() ? nullptr : found->second;
}

void Subscribe(uint64_t thread, Stream& stream) {
  const std::lock_guard lock(TheRegistry().mutex);
  Require(stream.report_thread == 0 && !stream.uses_host_func, kStreamSubscribe,
          "the stream has a subscriber already or was used with aclrtLaunchHostFunc");
  auto& queue = TheRegistry().queues[thread];
  if (!queue) queue = std::make_shared<ReportQueue>();
  ++queue->subscribers;
  stream.report_thread = thread;
}

void Unsubscribe(uint64_t thread, Stream& stream) {
  const std::lock_guard lock(TheRegistry().mutex);
  const auto found = TheRegistry().queues.find(thread);
  Require(found != TheRegistry().queues.end() && stream.report_thread == thread, kThreadSubscribe,
          "this thread is not the subscriber of this stream");
  stream.report_thread = 0;
  if (--found->second->subscribers == 0) TheRegistry().queues.erase(found);
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtSubscribeReport(uint64_t thread, aclrtStream stream) {
  return Abi("aclrtSubscribeReport", [&] { Subscribe(thread, *StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclrtUnSubscribeReport(uint64_t thread, aclrtStream stream) {
  return Abi("aclrtUnSubscribeReport", [&] { Unsubscribe(thread, *StreamArg(stream)); });
}

ASCEND_SIM_ABI aclError aclrtProcessReport(int32_t timeout) {
  return Abi("aclrtProcessReport", [&] {
    Require(timeout == -1 || timeout > 0, kInvalidParam, "the timeout must be -1 or positive");
    const auto queue = QueueOf(pthread_self());
    Require(queue != nullptr, kThreadSubscribe, "this thread is not subscribed to any stream");
    Require(queue->Process(DeadlineFrom(timeout)), kReportTimeout, "no callback came in time");
  });
}

ASCEND_SIM_ABI aclError aclrtLaunchCallback(aclrtCallback function, void* data, int block,
                                            aclrtStream handle) {
  return Abi("aclrtLaunchCallback", [&] {
    RequirePtr(reinterpret_cast<const void*>(function), "fn");
    Require(block == abi::kCallbackBlock || block == abi::kCallbackNoBlock, kRtParamInvalid,
            "the block type must be 0 or 1");
    const auto stream = StreamArg(handle);
    const auto queue = QueueOf(stream->report_thread);
    Require(queue != nullptr, kStreamNoCallback, "no thread is subscribed to this stream");
    stream->Launch({"aclrtLaunchCallback", TaskKind::kHostFunc,
                    [=] {
                      const auto done = std::make_shared<Signal>();
                      queue->Add({function, data, done});
                      if (block == abi::kCallbackBlock) done->Wait();
                    }},
                   /*may_block=*/true);
  });
}

ASCEND_SIM_ABI aclError aclrtLaunchHostFunc(aclrtStream handle, aclrtHostFunc function,
                                            void* args) {
  return Abi("aclrtLaunchHostFunc", [&] {
    RequirePtr(reinterpret_cast<const void*>(function), "fn");
    const auto stream = StreamArg(handle);
    Require(stream->report_thread == 0, kStreamSubscribe,
            "a thread is subscribed to this stream: use aclrtLaunchCallback");
    stream->uses_host_func = true;
    // May wait for locks of the caller (Python's, for one), so never in the caller's own thread.
    Task task{"aclrtLaunchHostFunc", TaskKind::kHostFunc, [=] { function(args); }};
    task.waits = true;
    stream->Launch(std::move(task), /*may_block=*/true);
  });
}
