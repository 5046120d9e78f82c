// SPDX-License-Identifier: Apache-2.0
//
// A FIFO of tasks and the one worker thread that runs them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "acl/observe/schedule.h"
#include "acl/task/wait.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

// Owned by its stream and, while it runs, by its worker. The worker starts with the first task and
// ends with Stop(). All members may be called from any thread.
class TaskQueue : public std::enable_shared_from_this<TaskQueue> {
 public:
  // `execute` runs one task and must not throw anything but Cancelled.
  TaskQueue(std::function<void(const Task&)> execute, bool run_inline);

  // Adds a task; returns its ticket. Waits while the queue is full, as a hardware queue does.
  // `may_block` keeps a task out of the caller's thread with the inline schedule.
  uint64_t Push(Task task, bool may_block = false);

  // The ticket of the last task added.
  uint64_t Submitted() const;

  // True once all tasks up to `ticket` have run; false at the deadline.
  bool Wait(uint64_t ticket, const Deadline& deadline = std::nullopt);

  bool Idle() const;

  // Drops the tasks that have not begun and cancels the one that waits; the queue lives on. False
  // when that one has not ended at the deadline. Waits of others for dropped tasks end with `code`.
  bool Abort(int code, const Deadline& deadline = std::nullopt);
  // How often that happened, and the code of the last time.
  std::pair<uint64_t, int> Aborts() const;

  // Ends the worker: after the tasks already there, or dropping them and cancelling the one that
  // waits. Returns when it has ended, unless called from the worker itself, or at the deadline.
  enum class Leave { kDrain, kDrop };
  void Stop(Leave leave, const Deadline& deadline = std::nullopt);

 private:
  void Work();
  bool AwaitTask(std::unique_lock<std::mutex>& lock);
  void Run(const Task& task);
  uint64_t RunInline(std::unique_lock<std::mutex>& lock, Task task);

  const std::function<void(const Task&)> execute_;
  const bool inline_;
  std::unique_ptr<Schedule::Actor> actor_;  // null without a schedule
  mutable std::mutex mutex_;
  std::condition_variable added_;      // for the worker
  std::condition_variable completed_;  // for those who wait for tasks, room or the end
  std::deque<Task> tasks_;
  std::atomic<uint64_t> submitted_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> cancelled_{false};
  uint64_t aborts_ = 0;
  int abort_code_ = 0;
  int waiters_ = 0;
  bool started_ = false;   // there is a worker
  bool sleeping_ = false;  // and it must be woken
  bool running_ = false;   // some thread is inside a task
  bool stopping_ = false;
};

}  // namespace ascend_sim
