// SPDX-License-Identifier: Apache-2.0
//
// Waiting: with a deadline on host threads, and cancellable on worker threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

#include "acl/base/clock.h"
#include "acl/observe/order.h"
#include "acl/observe/schedule.h"
#include "acl/observe/timeline.h"
#include "ascend_sim/blocking.h"

namespace ascend_sim {

// The deadline of a time-out argument in milliseconds; -1 is for ever, 0 and less than -1 fail with
// 107000.
Deadline DeadlineFrom(int64_t timeout_ms);

// Thrown out of a wait whose stream is being destroyed by force. Never leaves a worker.
struct Cancelled {};

// While it lives, waits of this thread end with Cancelled soon after `flag` becomes true.
class CancelScope {
 public:
  explicit CancelScope(const std::atomic<bool>* flag) : before_(current_) { current_ = flag; }
  ~CancelScope() { current_ = before_; }
  CancelScope(const CancelScope&) = delete;
  CancelScope& operator=(const CancelScope&) = delete;

  static const std::atomic<bool>* Current() { return current_; }

 private:
  static inline thread_local const std::atomic<bool>* current_ = nullptr;
  const std::atomic<bool>* before_;
};

// Waits until `ready()`; false at the deadline. `poll` bounds the time between two looks at
// `ready`, for conditions that may become true without a notification.
template <class Ready>
bool WaitUntil(std::unique_lock<std::mutex>& lock, std::condition_variable& changed,
               const Deadline& deadline, Ready ready,
               std::chrono::microseconds poll = std::chrono::hours(1)) {
  if (Schedule* schedule = Schedule::Get()) {
    const auto locked = [&] {
      const std::lock_guard guard(*lock.mutex());
      return static_cast<bool>(ready());
    };
    struct Relock {
      std::unique_lock<std::mutex>& lock;
      explicit Relock(std::unique_lock<std::mutex>& held) : lock(held) { lock.unlock(); }
      ~Relock() { lock.lock(); }
    };
    while (!ready()) {
      const bool in_time = [&] {
        const Relock unlocked(lock);
        return schedule->Await(deadline, locked);
      }();
      if (!in_time) return ready();
    }
    return true;
  }
  const std::atomic<bool>* cancelled = CancelScope::Current();
  if (cancelled != nullptr)
    poll = std::min<std::chrono::microseconds>(poll, std::chrono::milliseconds(5));
  while (!ready()) {
    if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) throw Cancelled{};
    const auto now = Clock::now();
    if (deadline && now >= *deadline) return false;
    const auto until = deadline ? std::min(*deadline, now + poll) : now + poll;
    changed.wait_until(lock, until);
  }
  return true;
}

// Polls `ready` for a moment before the caller goes to sleep: a wake-up costs more than most
// kernels. Yields, so that on few cores the one waited for can run.
template <class Ready>
bool SpinUntil(Ready ready) {
  if (Schedule::Get() != nullptr) return ready();
  constexpr auto kPatience = std::chrono::microseconds(20);
  const auto end = Clock::now() + kPatience;
  do {
    for (int i = 0; i < 8; ++i) {
      if (ready()) return true;
    }
    std::this_thread::yield();
  } while (Clock::now() < end);
  return ready();
}

// A pause of a host thread that polls for the end of device work.
inline void Pause() {
  if (Schedule* schedule = Schedule::Get()) schedule->OnQuery();
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Set once, seen by any number of waiters; remembers when.
class Signal {
 public:
  void Set() {
    {
      const std::lock_guard lock(mutex_);
      if (OrderObserver* order = OrderObserver::Get()) knowledge_ = order->Publish();
      time_ = Clock::now();
      arrow_ = StartArrow();
      done_.store(true, std::memory_order_release);
    }
    changed_.notify_all();
  }

  bool Done() const { return done_.load(std::memory_order_acquire); }

  // Only after Done().
  Clock::time_point Time() const { return time_; }

  bool Wait(const Deadline& deadline = std::nullopt) {
    if (!SpinUntil([this] { return Done(); })) {
      std::unique_lock lock(mutex_);
      if (!WaitUntil(lock, changed_, deadline, [this] { return Done(); })) return false;
    }
    EndArrow(arrow_);
    Learn();
    return true;
  }

  // Only after Done(): the caller is now ordered after what led to the signal (see order.h).
  void Learn() const {
    if (OrderObserver* order = OrderObserver::Get()) order->Learn(knowledge_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> done_{false};
  Clock::time_point time_;
  uint64_t arrow_ = 0;  // of the timeline; as time_
  Knowledge knowledge_;
};

}  // namespace ascend_sim
