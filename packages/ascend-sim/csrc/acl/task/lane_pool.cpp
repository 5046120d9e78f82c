// SPDX-License-Identifier: Apache-2.0
#include "acl/task/lane_pool.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace ascend_sim {
namespace {

// Never destroyed; its threads end with the process.
struct Pool {
  std::mutex mutex;
  std::condition_variable added;
  std::deque<std::function<void()>> jobs;
  size_t idle = 0;
};

Pool& ThePool() {
  static auto* const pool = new Pool;
  return *pool;
}

void Work() {
  Pool& pool = ThePool();
  std::unique_lock lock(pool.mutex);
  for (;;) {
    ++pool.idle;
    pool.added.wait(lock, [&] { return !pool.jobs.empty(); });
    --pool.idle;
    const auto job = std::move(pool.jobs.front());
    pool.jobs.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

}  // namespace

void RunOnLanePool(std::function<void()> job) noexcept {
  Pool& pool = ThePool();
  const std::lock_guard lock(pool.mutex);
  pool.jobs.push_back(std::move(job));
  if (pool.jobs.size() > pool.idle) std::thread(Work).detach();
  pool.added.notify_one();
}

}  // namespace ascend_sim
