// SPDX-License-Identifier: Apache-2.0
#include "acl/instruments/chaos.h"

#include <algorithm>
#include <thread>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/task/wait.h"

namespace ascend_sim {
namespace {

thread_local Chaos::Actor* t_actor = nullptr;

constexpr auto kHostPoll = std::chrono::milliseconds(1);
constexpr auto kActorPoll = std::chrono::milliseconds(5);
constexpr auto kGrace = std::chrono::milliseconds(10);     // of a task beside the schedule
constexpr auto kPatience = std::chrono::milliseconds(50);  // of a launch, for its turns

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

const bool chaos_attached = Slot<Schedule>::Attach([]() -> Schedule* {
  const auto& seed = GetConfig().chaos_seed;
  return seed ? new Chaos(*seed) : nullptr;
});

bool IsCancelled() {
  const auto* cancelled = CancelScope::Current();
  return cancelled != nullptr && cancelled->load(std::memory_order_relaxed);
}

}  // namespace

Chaos::Chaos(uint64_t seed) : seed_(seed) {
  std::thread([this] { Watch(); }).detach();
}

Chaos::Actor::Actor(Chaos& chaos, uint64_t id, std::function<bool()> has_work)
    : chaos_(chaos), id_(id), has_work_(std::move(has_work)) {
  const std::lock_guard lock(chaos_.mutex_);
  chaos_.actors_[id_] = this;
}

Chaos::Actor::~Actor() {
  const std::lock_guard lock(chaos_.mutex_);
  chaos_.actors_.erase(id_);
  if (chaos_.running_ == this) chaos_.running_ = nullptr;
  chaos_.PassOn();
}

std::unique_ptr<Schedule::Actor> Chaos::QueueActor(std::function<bool()> has_work) {
  const uint64_t id = [this] {
    const std::lock_guard lock(mutex_);
    return next_id_++;
  }();
  return std::make_unique<Actor>(*this, id, std::move(has_work));
}

std::unique_ptr<Schedule::Actor> Chaos::LaneActor(uint64_t graph, uint64_t lane) {
  const uint64_t id = Mix(Mix(t_actor->Id()) ^ Mix(graph << 20 | lane));
  return std::make_unique<Actor>(*this, id, [] { return true; });
}

void Chaos::Act(Schedule::Actor* actor) { t_actor = static_cast<Actor*>(actor); }

uint64_t Chaos::Draw(uint64_t a, uint64_t b) const { return Mix(Mix(Mix(seed_) ^ a) ^ b); }

bool Chaos::MayRun() const {
  if (idle_host_ || budget_ > 0) return true;
  return std::any_of(hosts_.begin(), hosts_.end(), [](const auto* ready) { return !(*ready)(); });
}

// The actor with the highest priority among those with work to do.
Chaos::Actor* Chaos::Choose() {
  Actor* best = nullptr;
  uint64_t best_priority = 0;
  for (const auto& [id, actor] : actors_) {
    if (actor->beside_) continue;
    if (actor->blocked_ != nullptr ? !(*actor->blocked_)() : !actor->has_work_()) continue;
    if (actor->epoch_ != epoch_) {
      actor->epoch_ = epoch_;
      actor->turns_ = 0;
    }
    constexpr uint64_t kRuns = 8;  // priorities hold for 1 to 128 turns
    const uint64_t run = uint64_t{1} << (Draw(id, ~uint64_t{0}) % kRuns);
    const uint64_t priority = Draw(id, actor->turns_ / run);
    if (best == nullptr || priority > best_priority) {
      best = actor;
      best_priority = priority;
    }
  }
  return best;
}

// Gives the turn to the next actor, if none has it and the device may proceed.
void Chaos::PassOn() {
  // The chosen work may have been dropped before it began.
  if (running_ != nullptr && !running_->inside_ && running_->blocked_ == nullptr &&
      !running_->has_work_()) {
    running_ = nullptr;
  }
  if (running_ != nullptr && running_->beside_ && Clock::now() - *running_->beside_ > kGrace) {
    running_->inside_ = false;
    running_ = nullptr;
  }
  if (running_ == nullptr && MayRun()) {
    running_ = Choose();
    if (running_ != nullptr) {
      ++running_->turns_;
      if (budget_ > 0) --budget_;
      running_->turn_.notify_one();
    } else {
      budget_ = 0;
      idle_host_ = false;
    }
  }
  progress_.notify_all();
}

void Chaos::Step() {
  Actor* const me = t_actor;
  std::unique_lock lock(mutex_);
  if (running_ == me && me->inside_) {
    me->inside_ = false;
    running_ = nullptr;
  }
  PassOn();
  while (running_ != me) {
    if (IsCancelled()) throw Cancelled{};
    me->turn_.wait_for(lock, kActorPoll);
  }
  me->inside_ = true;
}

void Chaos::Finish() {
  Actor* const me = t_actor;
  const std::lock_guard lock(mutex_);
  me->inside_ = false;
  if (running_ == me) running_ = nullptr;
  PassOn();
}

bool Chaos::Await(const Deadline& deadline, const std::function<bool()>& ready,
                  bool interruptible) {
  Actor* const me = t_actor;
  std::unique_lock lock(mutex_);
  if (ready()) return true;
  if (me == nullptr || me->beside_) {
    ++activity_;
    idle_host_ = false;
    if (me == nullptr) hosts_.push_back(&ready);
    bool done = false;
    bool cancelled = false;
    while (!(done = ready())) {
      cancelled = IsCancelled();
      if (cancelled || (deadline && Clock::now() >= *deadline)) break;
      PassOn();
      progress_.wait_for(lock, kHostPoll);
    }
    if (me == nullptr) hosts_.erase(std::find(hosts_.begin(), hosts_.end(), &ready));
    if (!done && cancelled && interruptible) throw Cancelled{};
    return done;
  }
  me->blocked_ = &ready;
  me->inside_ = false;
  if (running_ == me) running_ = nullptr;
  PassOn();
  while (running_ != me) {
    const bool expired = deadline && Clock::now() >= *deadline;
    if (expired || (interruptible && IsCancelled())) {
      me->blocked_ = nullptr;
      if (!expired) throw Cancelled{};
      return ready();
    }
    me->turn_.wait_for(lock, kActorPoll);
  }
  me->blocked_ = nullptr;
  me->inside_ = true;
  return true;
}

void Chaos::Advance(bool launch) {
  if (t_actor != nullptr) return;
  std::unique_lock lock(mutex_);
  ++activity_;
  idle_host_ = false;
  if (!hosts_.empty()) return;  // the device works anyway
  const uint64_t draw = Draw(++advances_, launch ? 1 : 2);
  const uint64_t chance = draw % 16;
  // Usually nothing after a launch, so that the host gets ahead; more after a query.
  if (chance < (launch ? 12 : 6)) return;
  budget_ += chance == 15 ? 64 : 1 + (draw >> 32) % 4;
  PassOn();
  const auto end = Clock::now() + kPatience;
  while ((budget_ > 0 || running_ != nullptr) && Clock::now() < end) {
    PassOn();
    progress_.wait_for(lock, kHostPoll);
  }
}

// The host may be waiting for a callback in a way that is not visible here.
void Chaos::Watch() {
  constexpr auto kTick = std::chrono::milliseconds(100);
  std::unique_lock lock(mutex_);
  for (uint64_t seen = 0;; seen = activity_) {
    lock.unlock();
    std::this_thread::sleep_for(kTick);
    lock.lock();
    if (activity_ != seen || !hosts_.empty()) continue;
    idle_host_ = true;
    PassOn();
  }
}

void Chaos::Reseed(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  seed_ = seed;
  ++epoch_;
  advances_ = 0;
}

void Chaos::BeginBeside() {
  if (t_actor == nullptr) return;
  const std::lock_guard lock(mutex_);
  t_actor->beside_ = Clock::now();
}

void Chaos::EndBeside() {
  if (t_actor == nullptr) return;
  const std::lock_guard lock(mutex_);
  t_actor->beside_.reset();
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError ascendSimReseed(uint64_t seed) {
  const auto body = [&] {
    auto* const chaos = static_cast<Chaos*>(Schedule::Get());  // the only schedule there is
    Require(chaos != nullptr, kInvalidParam,
            "the schedule of this process is not chaos: start it with --schedule chaos:SEED");
    chaos->Reseed(seed);
  };
  return CodeOf("ascendSimReseed", body);
}
