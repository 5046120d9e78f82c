// SPDX-License-Identifier: Apache-2.0
//
// Hazards (check=hazards): work that an NPU may run in a harmful order although it went well here.
//
// The order that rules make, not the one in which things happened, is followed with vector clocks:
// each stream, each further lane of a replay and the host (all its threads as one) is a track with
// a clock; launches, event records, latches, value writes and the end of work hand over what a
// track knows, and waits and synchronisations take it. Two accesses to the same bytes, one of them
// a write, of which neither is known to the other's track, are a race, whatever the schedule did.
// Tasks say what they touch (launch.h). A graph and the tasks of its groups are treated as memory
// too: a replay writes the graph, an update writes what a replay reads.
//
// Not seen: what host functions touch, what the host reads and writes through pointers (pinned
// memory), orders that host threads make among themselves, other processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "ascend_sim/launch.h"

namespace ascend_sim {

class Device;

// What a track knows: per track, up to when. Null: nothing.
using Knowledge = std::shared_ptr<const std::vector<uint64_t>>;

// Safe from any thread; its mutex is a leaf, but for memory.h.
class Hazards {
 public:
  // Null unless the configuration asks for it: then nothing is followed and nothing costs.
  static Hazards* Get();

  // Whose accesses are one after the other. Its number is used again after its end.
  class Track {
   public:
    Track(Hazards& hazards, Device& device, std::string name);
    ~Track();

   private:
    friend class Hazards;
    Hazards& hazards_;
    Device& device_;
    const std::string name_;
    size_t index_;
  };

  // While it lives, this thread works for `track`, which has learnt `knowledge` before.
  class Working {
   public:
    Working(std::shared_ptr<Track> track, const Knowledge& knowledge);
    ~Working();

   private:
    std::shared_ptr<Track> track_;
    Track* before_;
  };

  // The tracks' conversation. All are about the track this thread works for: the host's by default.
  Knowledge Publish();
  void Learn(const Knowledge& knowledge);
  void PublishAt(const void* address);
  void LearnAt(const void* address);
  // The host takes all that `track` knows: it has waited for it.
  void HostLearns(const Track& track);

  // A task runs, or the host touches memory. `blocks`: what SerialsOf gave when it was captured.
  void OnTask(const Task& task, const std::vector<uint64_t>* blocks = nullptr);
  void OnHostTouch(const char* call, const void* begin, size_t bytes, bool write);
  // A thing of this library, such as a graph, that must be used by one at a time.
  void OnThing(const void* thing, const std::string& name, bool write);

  // Which allocation each range lies in.
  static std::vector<uint64_t> SerialsOf(const Task& task);

  // The host frees memory or a thing: nobody may be using it.
  void OnFree(const char* call, const void* begin, size_t bytes);
  void Forget(const void* begin, size_t bytes);

  std::string CurrentTrackName() const;

 private:
  struct Access {
    size_t track = 0;
    uint64_t clock = 0;  // 0: none
    std::string name;    // what touched, and on which track
  };
  struct Segment {
    uintptr_t end = 0;
    Access write;
    std::vector<Access> reads;
  };

  size_t Current() const;
  bool Knows(const Access& access) const;
  void Note(const std::string& name, uintptr_t begin, uintptr_t end, bool write, bool thing);
  void Race(const Access& earlier, bool earlier_wrote, const Access& later, bool wrote,
            uintptr_t begin, uintptr_t end, bool thing);
  void CheckAlive(const Task& task, const std::vector<uint64_t>* blocks);
  void Report(const std::string& key, const std::string& text);
  void Split(uintptr_t at);

  mutable std::mutex mutex_;
  std::vector<std::vector<uint64_t>> clocks_ = {{1}};  // [0]: the host
  std::vector<size_t> free_;
  std::map<uintptr_t, Segment> segments_;
  std::map<const void*, Knowledge> words_;
  std::set<std::string> reported_;
};

}  // namespace ascend_sim
