// SPDX-License-Identifier: Apache-2.0
//
// The order that rules impose on pieces of work, for those who track it: the check for hazards
// (acl/instruments/hazard.h). Without it (null) nothing is tracked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "acl/observe/slot.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Device;

// What a track knows: per track, up to when. Null: nothing.
using Knowledge = std::shared_ptr<const std::vector<uint64_t>>;

// Safe from any thread; its mutex is a leaf, but for memory.h.
class OrderObserver {
 public:
  // Whose accesses are one after the other: a stream, or a further lane of a replay.
  class Track {
   public:
    virtual ~Track() = default;
  };

  static OrderObserver* Get() { return Slot<OrderObserver>::Get(); }
  virtual ~OrderObserver() = default;

  virtual std::shared_ptr<Track> MakeTrack(Device& device, std::string name) = 0;
  // Makes this thread work for `track`, null for the host; returns the track it worked for before.
  virtual Track* WorkFor(Track* track) = 0;

  // What tracks tell each other, about the track this thread works for: by default the host's.
  virtual Knowledge Publish() = 0;
  virtual void Learn(const Knowledge& knowledge) = 0;
  virtual void PublishAt(const void* address) = 0;
  virtual void LearnAt(const void* address) = 0;
  // The host takes all that `track` knows: it has waited for it.
  virtual void HostLearns(const Track& track) = 0;

  // A task runs, or the host touches memory. `blocks`: what SerialsOf gave when it was captured.
  virtual void OnTask(const Task& task, const std::vector<uint64_t>* blocks = nullptr) = 0;
  virtual void OnHostTouch(const char* call, const void* begin, size_t bytes, bool write) = 0;
  // A thing of this library, such as a graph, that must be used by one at a time.
  virtual void OnThing(const void* thing, const std::string& name, bool write) = 0;

  // Which allocation each range lies in.
  virtual std::vector<uint64_t> SerialsOf(const Task& task) = 0;

  // The host frees memory or a thing: nobody may be using it.
  virtual void OnFree(const char* call, const void* begin, size_t bytes) = 0;
  virtual void Forget(const void* begin, size_t bytes) = 0;

  // While it lives, this thread works for `track`, which has learnt `knowledge` before.
  class Working {
   public:
    Working(OrderObserver& observer, std::shared_ptr<Track> track, const Knowledge& knowledge)
        : observer_(observer), track_(std::move(track)), before_(observer.WorkFor(track_.get())) {
      observer_.Learn(knowledge);
    }
    ~Working() { observer_.WorkFor(before_); }
    Working(const Working&) = delete;
    Working& operator=(const Working&) = delete;

   private:
    OrderObserver& observer_;
    const std::shared_ptr<Track> track_;
    Track* const before_;
  };
};

}  // namespace ascend_sim
