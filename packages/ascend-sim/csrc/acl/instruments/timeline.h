// SPDX-License-Identifier: Apache-2.0
//
// What ran when, as events of Chrome's trace format appended to the file that the configuration
// names; several processes may share it. Streams and the lanes of replays are tracks, and so are
// host threads. Everything here is safe from any thread and does nothing when no file is named.
#pragma once

#include <cstdint>
#include <string>

#include "acl/base/clock.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Device;

// Whether the configuration names a file.
bool TimelineOn();

// Makes the spans and arrows of this thread belong to a track while it lives.
class TrackScope {
 public:
  // `name` is asked for only when there is a timeline.
  template <class Name>
  explicit TrackScope(Name name) {
    if (TimelineOn()) before_ = Enter(name());
  }
  ~TrackScope();
  TrackScope(const TrackScope&) = delete;
  TrackScope& operator=(const TrackScope&) = delete;

 private:
  static int Enter(const std::string& name);
  int before_ = -1;
};

// From its construction to its end, on this thread's track.
class Span {
 public:
  // Both of static storage. `graph`: the graph it concerns; 0 is none.
  Span(const char* name, const char* category, uint32_t graph = 0);
  ~Span();
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  const char* const name_;
  const char* const category_;
  const uint32_t graph_;
  const Clock::time_point begin_;
};

// "NPU 0 stream 3".
std::string TrackName(const Device& device, const char* kind, int64_t number);

// The category of a task's span.
const char* CategoryOf(TaskKind kind);

// A span on this thread's track that is over.
void RecordSpan(const char* name, const char* category, uint32_t graph, Clock::time_point begin);

// An arrow from the record of an event to a wait for it: StartArrow() names it (0 with no
// timeline), EndArrow() draws it if this thread works on a track.
uint64_t StartArrow();
void EndArrow(uint64_t arrow);

}  // namespace ascend_sim
