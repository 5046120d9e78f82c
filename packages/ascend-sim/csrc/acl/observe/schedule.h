// SPDX-License-Identifier: Apache-2.0
//
// A schedule decides which device work runs next where rules leave it open. Without one (null) the
// operating system does; the chaos schedule is one (acl/instruments/chaos.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "acl/base/clock.h"
#include "acl/observe/slot.h"

namespace ascend_sim {

// Safe from any thread; calls nothing back with its mutex held, except for the conditions given to
// Await, which may take locks that are never held around a call of this class.
class Schedule {
 public:
  // What runs device work in order: a stream's queue, or a lane of a replay, which owns it.
  class Actor {
   public:
    virtual ~Actor() = default;
  };

  static Schedule* Get() { return Slot<Schedule>::Get(); }
  virtual ~Schedule() = default;

  // `has_work`: whether there is a task that waits for its turn. It takes no lock.
  virtual std::unique_ptr<Actor> QueueActor(std::function<bool()> has_work) = 0;
  // Lane `lane` of a replay of the graph `graph` that the acting thread runs; always has work.
  virtual std::unique_ptr<Actor> LaneActor(uint64_t graph, uint64_t lane) = 0;

  // Makes this thread run the work of `actor`, or of none, from now on.
  virtual void Act(Actor* actor) = 0;

  // The calling actor gives up its turn, if it has it, and waits for the next one. Throws
  // Cancelled.
  virtual void Step() = 0;
  // The calling actor has finished a task.
  virtual void Finish() = 0;

  // Waits until `ready`; false at the deadline. An actor lets others run meanwhile, and throws
  // Cancelled unless `interruptible` is false. While a host thread waits, the device works.
  virtual bool Await(const Deadline& deadline, const std::function<bool()>& ready,
                     bool interruptible = true) = 0;

  // A host thread has launched work, or asked whether it is done: perhaps the device goes on.
  virtual void OnLaunch() = 0;
  virtual void OnQuery() = 0;

  // The acting thread, if any, starts or stops running beside the schedule.
  virtual void BeginBeside() = 0;
  virtual void EndBeside() = 0;

  // While it lives the acting thread may run beside the schedule: for tasks that wait for others by
  // means which a schedule cannot see. They keep the turn for a moment, and then others go on.
  class Beside {
   public:
    explicit Beside(bool wanted) : schedule_(wanted ? Get() : nullptr) {
      if (schedule_ != nullptr) schedule_->BeginBeside();
    }
    ~Beside() {
      if (schedule_ != nullptr) schedule_->EndBeside();
    }
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;

   private:
    Schedule* const schedule_;
  };
};

}  // namespace ascend_sim
