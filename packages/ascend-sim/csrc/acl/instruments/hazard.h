// SPDX-License-Identifier: Apache-2.0
//
// Hazards (check=hazards): work that an NPU may run in a harmful order, even if it ran correctly
// here.
//
// Vector clocks follow the order that rules guarantee, not the order in which things happened. Each
// stream, each further lane of a replay, and the host (all its threads as one) is a track with a
// clock. Launches, event records, latches, value writes and the end of work publish what a track
// knows; waits and synchronizations receive it. Two accesses to the same bytes, at least one of
// them a write, are a race if neither is known to the other's track, whatever the schedule did.
// Tasks declare what they touch (launch.h). A graph and the tasks of its groups count as memory
// too: a replay writes the graph, and an update writes what a replay reads.
//
// Not covered: memory that host functions touch, host accesses through pointers (pinned memory),
// order among host threads, and other processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "acl/observe/order.h"

namespace ascend_sim {

class Device;

// acl/observe/order.h documents its functions.
class Hazards final : public OrderObserver {
 public:
  // Its number is reused after its end.
  class Track final : public OrderObserver::Track {
   public:
    Track(Hazards& hazards, Device& device, std::string name);
    ~Track() override;

   private:
    friend class Hazards;
    Hazards& hazards_;
    Device& device_;
    const std::string name_;
    size_t index_;
  };

  std::shared_ptr<OrderObserver::Track> MakeTrack(Device& device, std::string name) override;
  OrderObserver::Track* WorkFor(OrderObserver::Track* track) override;
  Knowledge Publish() override;
  void Learn(const Knowledge& knowledge) override;
  void PublishAt(const void* address) override;
  void LearnAt(const void* address) override;
  void HostLearns(const OrderObserver::Track& track) override;
  void OnTask(const Task& task, const std::vector<uint64_t>* blocks) override;
  void OnHostTouch(const char* call, const void* begin, size_t bytes, bool write) override;
  void OnThing(const void* thing, const std::string& name, bool write) override;
  std::vector<uint64_t> SerialsOf(const Task& task) override;
  void OnFree(const char* call, const void* begin, size_t bytes) override;
  void Forget(const void* begin, size_t bytes) override;

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
  std::string CurrentTrackName() const;
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
