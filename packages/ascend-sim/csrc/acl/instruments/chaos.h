// SPDX-License-Identifier: Apache-2.0
//
// The chaos schedule (schedule=chaos:SEED): device work is delayed and reordered wherever no rule
// orders it, the same way each time for the same seed and the same history of calls.
//
// One task runs at a time, in the whole process. Whose turn is next is decided by a number made of
// the seed, the identity of the actor and how many turns it had: priorities that hold for a run of
// turns and then change, so that one stream can fall far behind another. Wall time decides nothing.
// The device is lazy: it goes on only while a host thread waits for it, or by a few tasks, drawn
// from the seed, when work is launched or asked about. So the host runs far ahead. When the host
// makes no call for a while, the device does what there is, since the host may be waiting for a
// callback.
//
// All functions may be called from any thread; none calls back with its mutex held, except for the
// conditions given to Await, which may take locks that are never held around a call of this class.
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

namespace ascend_sim {

class Chaos {
 public:
  // What runs device work in order: a stream's queue, or a lane of a replay. Owned by these.
  class Actor {
   public:
    // `has_work`: whether there is a task that waits for its turn. It takes no lock.
    Actor(Chaos& chaos, uint64_t id, std::function<bool()> has_work);
    // A new identity, by the order of creation.
    Actor(Chaos& chaos, std::function<bool()> has_work);
    // Lane `lane` of a replay of the graph `graph` that the acting thread runs; always has work.
    Actor(Chaos& chaos, uint64_t graph, uint64_t lane);
    ~Actor();
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

  // Null with any other schedule.
  static Chaos* Get();

  // Makes this thread run the work of `actor` from now on.
  static void Act(Actor* actor);
  static Actor* Acting();

  // The calling actor gives its turn up, if it has it, and waits for the next one. Throws
  // Cancelled.
  void Step();
  // The calling actor has finished a task.
  void Finish();

  // Waits until `ready`; false at the deadline. An actor lets others run meanwhile, and throws
  // Cancelled unless `interruptible` is false. While a host thread waits, the device works.
  bool Await(const Deadline& deadline, const std::function<bool()>& ready,
             bool interruptible = true);

  // A host thread has launched work, or asked whether it is done: perhaps the device goes on.
  void OnLaunch() { Advance(/*launch=*/true); }
  void OnQuery() { Advance(/*launch=*/false); }

  // While it lives the acting thread may run beside the schedule: for tasks that wait for others by
  // means which this class cannot see. They keep the turn for a moment, and then others go on.
  class Beside {
   public:
    explicit Beside(bool wanted);
    ~Beside();

   private:
    Chaos* chaos_ = nullptr;
  };

  // Forgets the past: from now on decisions are those of `seed`.
  void Reseed(uint64_t seed);

 private:
  explicit Chaos(uint64_t seed);

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
