// SPDX-License-Identifier: Apache-2.0
//
// The chaos schedule (schedule=chaos:SEED): device work is delayed and reordered wherever no rule
// orders it. The same seed and the same calls give the same order.
//
// One task runs at a time in the whole process. The next turn goes to the actor with the highest
// priority. Priorities are computed from the seed, the actor's identity and the number of its
// turns; they hold for a run of turns and then change, so one stream can fall far behind another.
// Wall time plays no part. The device is lazy: it proceeds only while a host thread waits for it,
// or by a few tasks, drawn from the seed, when work is launched or queried. So the host runs far
// ahead. If the host makes no call for a while, the device runs everything it has, because the host
// may be waiting for a callback.
//
// acl/observe/schedule.h documents its functions.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "acl/base/clock.h"
#include "acl/observe/schedule.h"

namespace ascend_sim {

class Chaos final : public Schedule {
 public:
  class Actor final : public Schedule::Actor {
   public:
    Actor(Chaos& chaos, uint64_t id, std::function<bool()> has_work);
    ~Actor() override;
    Actor(const Actor&) = delete;
    Actor& operator=(const Actor&) = delete;

    uint64_t Id() const { return id_; }

   private:
    friend class Chaos;
    Chaos& chaos_;
    const uint64_t id_;
    const std::function<bool()> has_work_;
    // Guarded by the scheduler's mutex.
    std::condition_variable turn_;
    const std::function<bool()>* blocked_ = nullptr;  // waits for this
    bool inside_ = false;                             // has the turn and uses it
    std::optional<Clock::time_point> beside_;         // runs beside the schedule since
    uint64_t epoch_ = 0;
    uint64_t turns_ = 0;  // in this epoch
  };

  explicit Chaos(uint64_t seed);

  // Its identity is its position in the order of creation.
  std::unique_ptr<Schedule::Actor> QueueActor(std::function<bool()> has_work) override;
  std::unique_ptr<Schedule::Actor> LaneActor(uint64_t graph, uint64_t lane) override;
  void Act(Schedule::Actor* actor) override;
  void Step() override;
  void Finish() override;
  bool Await(const Deadline& deadline, const std::function<bool()>& ready,
             bool interruptible = true) override;
  void OnLaunch() override { Advance(/*launch=*/true); }
  void OnQuery() override { Advance(/*launch=*/false); }
  void BeginBeside() override;
  void EndBeside() override;

  // Starts over: from now on decisions follow `seed`.
  void Reseed(uint64_t seed);

 private:
  void Advance(bool launch);
  void PassOn();
  Actor* Choose();
  bool MayRun() const;
  uint64_t Draw(uint64_t a, uint64_t b) const;
  void Watch();

  std::mutex mutex_;
  std::condition_variable progress_;  // for host threads
  std::map<uint64_t, Actor*> actors_;
  Actor* running_ = nullptr;
  std::vector<const std::function<bool()>*> hosts_;  // what host threads wait for
  uint64_t budget_ = 0;                              // turns without anybody waiting
  bool idle_host_ = false;                           // everything that there is
  uint64_t activity_ = 0;                            // calls of the host, for Watch
  uint64_t seed_;
  uint64_t epoch_ = 1;
  uint64_t advances_ = 0;  // in this epoch
  uint64_t next_id_ = 1;
};

}  // namespace ascend_sim
