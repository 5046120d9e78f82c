// SPDX-License-Identifier: Apache-2.0
//
// What ran when, as told to a timeline (acl/instruments/timeline.cpp). Streams and the lanes of
// replays are tracks, and so are host threads. Everything here is safe from any thread and does
// nothing without a timeline.
#pragma once

#include <cstdint>
#include <string>

#include "acl/base/clock.h"
#include "acl/observe/slot.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Timeline {
 public:
  static Timeline* Get() { return Slot<Timeline>::Get(); }
  virtual ~Timeline() = default;

  // This thread works on the track of this name; returns the track it worked on before, for Leave.
  virtual int Enter(const std::string& track) = 0;
  virtual void Leave(int before) = 0;
  // A span on this thread's track that is over.
  virtual void Record(const char* name, const char* category, uint32_t graph,
                      Clock::time_point begin) = 0;
  virtual uint64_t StartArrow() = 0;
  virtual void EndArrow(uint64_t arrow) = 0;
};

// Makes the spans and arrows of this thread belong to a track while it lives.
class TrackScope {
 public:
  // `name` is asked for only when there is a timeline.
  template <class Name>
  explicit TrackScope(Name name) : timeline_(Timeline::Get()) {
    if (timeline_ != nullptr) before_ = timeline_->Enter(name());
  }
  ~TrackScope() {
    if (timeline_ != nullptr) timeline_->Leave(before_);
  }
  TrackScope(const TrackScope&) = delete;
  TrackScope& operator=(const TrackScope&) = delete;

 private:
  Timeline* const timeline_;
  int before_ = 0;
};

// "NPU 0 stream 3"; the device's number is that on the machine.
std::string TrackName(int machine_id, const char* kind, int64_t number);

// The category of a task's span.
const char* CategoryOf(TaskKind kind);

// A span on this thread's track that is over. Texts are of static storage. `graph`: the graph it
// concerns; 0 is none.
inline void RecordSpan(const char* name, const char* category, uint32_t graph,
                       Clock::time_point begin) {
  if (Timeline* timeline = Timeline::Get()) timeline->Record(name, category, graph, begin);
}

// From its construction to its end, on this thread's track.
class Span {
 public:
  Span(const char* name, const char* category, uint32_t graph = 0)
      : timeline_(Timeline::Get()), name_(name), category_(category), graph_(graph) {
    if (timeline_ != nullptr) begin_ = Clock::now();
  }
  ~Span() {
    if (timeline_ != nullptr) timeline_->Record(name_, category_, graph_, begin_);
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  Timeline* const timeline_;
  const char* const name_;
  const char* const category_;
  const uint32_t graph_;
  Clock::time_point begin_;
};

// An arrow from the record of an event to a wait for it: StartArrow() names it (0 with no
// timeline), EndArrow() draws it if this thread works on a track.
inline uint64_t StartArrow() {
  Timeline* timeline = Timeline::Get();
  return timeline != nullptr ? timeline->StartArrow() : 0;
}
inline void EndArrow(uint64_t arrow) {
  if (arrow != 0) Timeline::Get()->EndArrow(arrow);
}

}  // namespace ascend_sim
