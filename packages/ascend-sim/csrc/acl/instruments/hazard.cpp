// SPDX-License-Identifier: Apache-2.0
#include "acl/instruments/hazard.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/observe/counters.h"
#include "acl/runtime/device.h"
#include "acl/runtime/memory.h"

namespace ascend_sim {
namespace {

constexpr size_t kHost = 0;

thread_local Hazards::Track* t_track = nullptr;

const bool hazard_attached = Slot<OrderObserver>::Attach(
    []() -> OrderObserver* { return GetConfig().check == Check::kOff ? nullptr : new Hazards; });

uintptr_t At(const void* address) { return reinterpret_cast<uintptr_t>(address); }

void Join(std::vector<uint64_t>& mine, const std::vector<uint64_t>& theirs) {
  if (mine.size() < theirs.size()) mine.resize(theirs.size());
  for (size_t i = 0; i < theirs.size(); ++i) mine[i] = std::max(mine[i], theirs[i]);
}

std::string Range(uintptr_t begin, uintptr_t end) {
  char text[64];
  std::snprintf(text, sizeof text, "%zu bytes at %#zx", static_cast<size_t>(end - begin),
                static_cast<size_t>(begin));
  return text;
}

}  // namespace

bool TouchesWanted() noexcept {
  try {
    return OrderObserver::Get() != nullptr;
  } catch (...) {  // a wrong configuration: the call itself will say so
    return false;
  }
}

Hazards::Track::Track(Hazards& hazards, Device& device, std::string name)
    : hazards_(hazards), device_(device), name_(std::move(name)) {
  const std::lock_guard lock(hazards_.mutex_);
  auto& clocks = hazards_.clocks_;
  if (hazards_.free_.empty()) {
    index_ = clocks.size();
    clocks.emplace_back(index_ + 1, 0);
    clocks[index_][index_] = 1;
  } else {
    index_ = hazards_.free_.back();
    hazards_.free_.pop_back();
    const uint64_t clock = clocks[index_][index_];
    clocks[index_].assign(index_ + 1, 0);
    clocks[index_][index_] = clock + 1;
  }
}

Hazards::Track::~Track() {
  const std::lock_guard lock(hazards_.mutex_);
  hazards_.free_.push_back(index_);
}

std::shared_ptr<OrderObserver::Track> Hazards::MakeTrack(Device& device, std::string name) {
  return std::make_shared<Track>(*this, device, std::move(name));
}

OrderObserver::Track* Hazards::WorkFor(OrderObserver::Track* track) {
  return std::exchange(t_track, static_cast<Track*>(track));
}

size_t Hazards::Current() const { return t_track == nullptr ? kHost : t_track->index_; }

std::string Hazards::CurrentTrackName() const {
  return t_track == nullptr ? "the host" : t_track->name_;
}

Knowledge Hazards::Publish() {
  const std::lock_guard lock(mutex_);
  auto& mine = clocks_[Current()];
  auto knowledge = std::make_shared<const std::vector<uint64_t>>(mine);
  ++mine[Current()];  // what comes now is not known to those who learn this
  return knowledge;
}

void Hazards::Learn(const Knowledge& knowledge) {
  if (!knowledge) return;
  const std::lock_guard lock(mutex_);
  Join(clocks_[Current()], *knowledge);
}

void Hazards::PublishAt(const void* address) {
  auto knowledge = Publish();
  const std::lock_guard lock(mutex_);
  words_[address] = std::move(knowledge);
}

void Hazards::LearnAt(const void* address) {
  const std::lock_guard lock(mutex_);
  const auto found = words_.find(address);
  if (found != words_.end()) Join(clocks_[Current()], *found->second);
}

void Hazards::HostLearns(const OrderObserver::Track& track) {
  const std::lock_guard lock(mutex_);
  const size_t index = static_cast<const Track&>(track).index_;
  auto& theirs = clocks_[index];
  Join(clocks_[kHost], theirs);
  ++theirs[index];
}

bool Hazards::Knows(const Access& access) const {
  if (access.clock == 0 || access.track == Current()) return true;
  const auto& mine = clocks_[Current()];
  return access.track < mine.size() && mine[access.track] >= access.clock;
}

void Hazards::Report(const std::string& key, const std::string& text) {
  Add(Count().hazards);
  if (!reported_.insert(key).second) return;
  std::fprintf(stderr, "ascend-sim: hazard: %s\n", text.c_str());
  if (GetConfig().check != Check::kHazardsError) return;
  Device& device = t_track != nullptr ? t_track->device_ : *Devices().front();
  device.RecordFailure(kInternal, "hazard: " + text);
}

void Hazards::Race(const Access& earlier, bool earlier_wrote, const Access& later, bool wrote,
                   uintptr_t begin, uintptr_t end, bool thing) {
  const auto does = [thing](bool writes) {
    return thing ? " uses" : writes ? " writes" : " reads";
  };
  std::string where = thing ? "the same graph" : Range(begin, end);
  if (!thing) {
    const MemoryInfo block = Describe(reinterpret_cast<const void*>(begin));
    if (block.base != nullptr) where += " (a block of " + std::to_string(block.size) + " bytes)";
  }
  const bool host = earlier.track == kHost || later.track == kHost;
  Report(earlier.name + "|" + later.name,
         later.name + does(wrote) + " " + where + ", which " + earlier.name + does(earlier_wrote) +
             ", and nothing orders the two: " +
             (host ? "synchronize the stream, or an event recorded on it, before the host goes on"
                   : "record an event after the one and let the other's stream wait for it"));
}

// Splits the segment that contains `at` there.
void Hazards::Split(uintptr_t at) {
  auto next = segments_.upper_bound(at);
  if (next == segments_.begin()) return;
  auto& [begin, segment] = *--next;
  if (begin == at || segment.end <= at) return;
  Segment tail = segment;
  segment.end = at;
  segments_.emplace(at, std::move(tail));
}

void Hazards::Note(const std::string& name, uintptr_t begin, uintptr_t end, bool write,
                   bool thing) {
  if (begin >= end) return;
  const Access access{Current(), clocks_[Current()][Current()], name + " on " + CurrentTrackName()};
  Split(begin);
  Split(end);
  for (uintptr_t at = begin; at < end;) {
    auto found = segments_.lower_bound(at);
    if (found == segments_.end() || found->first >= end) {
      segments_.emplace_hint(found, at, Segment{end, {}, {}});
      continue;
    }
    if (found->first > at) {
      segments_.emplace_hint(found, at, Segment{found->first, {}, {}});
      continue;
    }
    Segment& segment = found->second;
    if (!Knows(segment.write)) Race(segment.write, true, access, write, at, segment.end, thing);
    if (write) {
      for (const Access& read : segment.reads) {
        if (!Knows(read)) Race(read, false, access, true, at, segment.end, thing);
      }
      segment.write = access;
      segment.reads.clear();
    } else {
      std::erase_if(segment.reads, [&](const Access& read) { return read.track == access.track; });
      segment.reads.push_back(access);
    }
    at = segment.end;
  }
}

// A task must touch memory that exists, and a graph's task the same memory as at its capture.
void Hazards::CheckAlive(const Task& task, const std::vector<uint64_t>* blocks) {
  for (size_t i = 0; i < task.touches->size(); ++i) {
    const Touch& touch = (*task.touches)[i];
    const std::string who = std::string(task.name) + " on " + CurrentTrackName();
    const std::string where = Range(At(touch.begin), At(touch.begin) + touch.bytes);
    const MemoryInfo block = Describe(touch.begin);
    if (block.base == nullptr) {
      Report(who + "|freed", who + " touches " + where +
                                 ", which is not allocated: it was freed before the work that "
                                 "uses it was done, or never was device memory");
    } else if (blocks != nullptr && i < blocks->size() && (*blocks)[i] != block.serial) {
      Report(who + "|reused", who + " touches " + where +
                                  ", which was freed and allocated again after the graph was "
                                  "captured: the graph works on memory that is not its own");
    }
  }
}

std::vector<uint64_t> Hazards::SerialsOf(const Task& task) {
  std::vector<uint64_t> serials;
  if (!task.touches) return serials;
  for (const Touch& touch : *task.touches) serials.push_back(Describe(touch.begin).serial);
  return serials;
}

void Hazards::OnTask(const Task& task, const std::vector<uint64_t>* blocks) {
  if (!task.touches) return;
  const std::lock_guard lock(mutex_);
  CheckAlive(task, blocks);
  for (const Touch& touch : *task.touches) {
    Note(task.name, At(touch.begin), At(touch.begin) + touch.bytes, touch.write, false);
  }
}

void Hazards::OnHostTouch(const char* call, const void* begin, size_t bytes, bool write) {
  if (Describe(begin).base == nullptr) return;  // pageable: only the host's
  const std::lock_guard lock(mutex_);
  Note(call, At(begin), At(begin) + bytes, write, false);
}

void Hazards::OnThing(const void* thing, const std::string& name, bool write) {
  const std::lock_guard lock(mutex_);
  Note(name, At(thing), At(thing) + 1, write, true);
}

void Hazards::OnFree(const char* call, const void* begin, size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    Note(call, At(begin), At(begin) + bytes, true, false);
  }
  Forget(begin, bytes);
}

void Hazards::Forget(const void* begin, size_t bytes) {
  const std::lock_guard lock(mutex_);
  Split(At(begin));
  Split(At(begin) + bytes);
  segments_.erase(segments_.lower_bound(At(begin)), segments_.lower_bound(At(begin) + bytes));
  words_.erase(words_.lower_bound(begin),
               words_.lower_bound(reinterpret_cast<const void*>(At(begin) + bytes)));
}

}  // namespace ascend_sim
