// SPDX-License-Identifier: Apache-2.0
#include "acl/task/queue.h"

#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>

#include "acl/base/error.h"
#include "acl/base/soc.h"

namespace ascend_sim {
namespace {

// Tasks a hardware queue holds before a launch has to wait.
size_t Depth() { return static_cast<size_t>(ThisSoc().family->queue_tasks); }

thread_local const TaskQueue* t_working_for = nullptr;

// Queues with a live worker. At process exit they are stopped before static objects of the
// libraries whose code the tasks run are destroyed.
struct Workers {
  std::mutex mutex;
  std::set<std::shared_ptr<TaskQueue>> queues;
};

Workers& TheWorkers() {
  static auto* const workers = new Workers;
  return *workers;
}

void StopAllAtExit() {
  std::set<std::shared_ptr<TaskQueue>> queues;
  {
    Workers& workers = TheWorkers();
    const std::lock_guard lock(workers.mutex);
    queues = workers.queues;
  }
  const Deadline deadline = Clock::now() + std::chrono::seconds(2);
  for (const auto& queue : queues) queue->Stop(TaskQueue::Leave::kDrop, deadline);
}

void Enlist(std::shared_ptr<TaskQueue> queue) {
  static const bool registered = std::atexit(StopAllAtExit) == 0;
  (void)registered;
  Workers& workers = TheWorkers();
  const std::lock_guard lock(workers.mutex);
  workers.queues.insert(std::move(queue));
}

void Dismiss(const std::shared_ptr<TaskQueue>& queue) {
  Workers& workers = TheWorkers();
  const std::lock_guard lock(workers.mutex);
  workers.queues.erase(queue);
}

}  // namespace

TaskQueue::TaskQueue(std::function<void(const Task&)> execute, bool run_inline)
    : execute_(std::move(execute)), inline_(run_inline) {
  if (Schedule* schedule = Schedule::Get()) {
    actor_ = schedule->QueueActor([this] { return submitted_.load() != done_.load(); });
  }
}

uint64_t TaskQueue::Push(Task task, bool may_block) {
  std::unique_lock lock(mutex_);
  if (stopping_) Raise(kInvalidHandle, "the stream is being destroyed");
  if (inline_ && !may_block && tasks_.empty() && !running_) return RunInline(lock, std::move(task));
  if (tasks_.size() >= Depth() && t_working_for != this) {
    ++waiters_;
    WaitUntil(lock, completed_, std::nullopt,
              [this] { return tasks_.size() < Depth() || stopping_; });
    --waiters_;
    if (stopping_) Raise(kInvalidHandle, "the stream was destroyed during the launch");
  }
  tasks_.push_back(std::move(task));
  const uint64_t ticket = submitted_.fetch_add(1) + 1;
  if (!started_) {
    Enlist(shared_from_this());
    std::thread([self = shared_from_this()] { self->Work(); }).detach();
    started_ = true;
  }
  const bool wake = std::exchange(sleeping_, false);
  lock.unlock();
  if (wake) added_.notify_one();
  if (actor_) Schedule::Get()->OnLaunch();
  return ticket;
}

uint64_t TaskQueue::RunInline(std::unique_lock<std::mutex>& lock, Task task) {
  const uint64_t ticket = submitted_.fetch_add(1) + 1;
  running_ = true;
  lock.unlock();
  Run(task);
  lock.lock();
  running_ = false;
  done_.store(ticket, std::memory_order_release);
  lock.unlock();
  added_.notify_one();
  completed_.notify_all();
  return ticket;
}

uint64_t TaskQueue::Submitted() const { return submitted_.load(); }

bool TaskQueue::Wait(uint64_t ticket, const Deadline& deadline) {
  const auto ready = [&] { return done_.load(std::memory_order_acquire) >= ticket; };
  if (ready() || SpinUntil(ready)) return true;
  std::unique_lock lock(mutex_);
  ++waiters_;
  const bool done = WaitUntil(lock, completed_, deadline, ready);
  --waiters_;
  return done;
}

bool TaskQueue::Idle() const {
  if (actor_) Schedule::Get()->OnQuery();
  return done_.load(std::memory_order_acquire) == submitted_.load();
}

bool TaskQueue::Abort(int code, const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  ++aborts_;
  abort_code_ = code;
  cancelled_.store(true);
  done_.fetch_add(tasks_.size());
  tasks_.clear();
  completed_.notify_all();
  bool ended = true;
  if (t_working_for != this) {
    ++waiters_;
    ended = WaitUntil(lock, completed_, deadline, [this] { return !running_; });
    --waiters_;
  }
  if (!stopping_) cancelled_.store(false);
  return ended;
}

std::pair<uint64_t, int> TaskQueue::Aborts() const {
  const std::lock_guard lock(mutex_);
  return {aborts_, abort_code_};
}

void TaskQueue::Stop(Leave leave, const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  if (leave == Leave::kDrop) {
    cancelled_.store(true);
    // Dropped tasks count as done: nobody may wait for them for ever.
    done_.fetch_add(tasks_.size());
    tasks_.clear();
  }
  added_.notify_all();
  completed_.notify_all();
  if (t_working_for == this) return;
  ++waiters_;
  WaitUntil(lock, completed_, deadline, [this] { return !started_ && !running_; });
  --waiters_;
}

void TaskQueue::Run(const Task& task) {
  const TaskQueue* before = std::exchange(t_working_for, this);
  const CancelScope scope(&cancelled_);
  try {
    if (actor_) Schedule::Get()->Step();
    execute_(task);
  } catch (const Cancelled&) {  // the stream is going away: there is nobody to tell
  }
  t_working_for = before;
}

// Waits for a task, briefly awake and then asleep; false when the worker has to end.
bool TaskQueue::AwaitTask(std::unique_lock<std::mutex>& lock) {
  const auto ready = [this] { return !running_ && (!tasks_.empty() || stopping_); };
  if (!ready()) {
    lock.unlock();
    SpinUntil([this] { return submitted_.load(std::memory_order_relaxed) != done_.load(); });
    lock.lock();
  }
  while (!ready()) {
    sleeping_ = true;
    added_.wait(lock);
    sleeping_ = false;
  }
  return !tasks_.empty();
}

void TaskQueue::Work() {
  if (actor_) Schedule::Get()->Act(actor_.get());
  std::unique_lock lock(mutex_);
  while (AwaitTask(lock)) {
    Task task = std::move(tasks_.front());
    tasks_.pop_front();
    running_ = true;
    lock.unlock();
    Run(task);
    task.run = nullptr;  // what the task owns goes before the task counts as done
    lock.lock();
    running_ = false;
    done_.fetch_add(1, std::memory_order_release);
    if (waiters_ > 0) completed_.notify_all();
    if (!actor_) continue;
    lock.unlock();
    Schedule::Get()->Finish();
    lock.lock();
  }
  started_ = false;
  lock.unlock();
  completed_.notify_all();
  Dismiss(shared_from_this());
}

}  // namespace ascend_sim
