// SPDX-License-Identifier: Apache-2.0
//
// The memory that the ranks of a communicator share: who is there, what went wrong, and a channel
// for every ordered pair of ranks.
//
// It is an anonymous file (memfd): it has no name in /dev/shm or elsewhere, and the kernel frees it
// with the last process that has it mapped, however that process ends. Ranks open it through
// /proc/PID/fd of the process that made it, whose number is in the root info; that process closes
// its descriptor once all ranks have it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "abi/hccl.h"
#include "ascend_sim/process.h"
#include "hccl/channel.h"

namespace ascend_sim::hccl {

inline constexpr uint32_t kMaxRanks = 64;

enum class RankState : uint32_t { kAbsent, kJoining, kHere, kLeft };

// What the others must know of a rank.
struct alignas(64) RankSlot {
  std::atomic<RankState> state;
  Doorbell doorbell;
  ProcessId process;  // valid once state is kHere
};

// What is at the start of the file. Everything in it starts as zeros.
struct SegmentHeader {
  char id[16];                  // of the communicator; the rest makes no sense without it
  std::atomic<uint32_t> ranks;  // 0 until the first rank says how many there are

  // The first failure; the communicator is of no use after it.
  enum class Failure : uint32_t { kNone, kBeingWritten, kThere };
  std::atomic<Failure> failed;
  uint32_t failed_rank;
  abi::HcclResult failed_code;
  char failed_why[488];

  RankSlot slots[kMaxRanks];
};

// Makes the memory of a new communicator and says in `info` how to find it. This process keeps it
// until all ranks have joined, or until it ends.
void MakeRoot(abi::HcclRootInfo& info);

// One rank's mapping of the memory. Safe from any thread.
class Segment {
 public:
  // Opens what `info` describes and takes the place of `rank`. Fails when the maker has gone or is
  // on another host, when the ranks do not agree how many they are, or when the place is taken.
  static std::shared_ptr<Segment> Join(const abi::HcclRootInfo& info, uint32_t ranks,
                                       uint32_t rank);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  uint32_t Ranks() const { return ranks_; }
  uint32_t Rank() const { return rank_; }
  std::string Id() const;  // the same text on all ranks

  // Waits until all ranks are there; fails with HCCL_E_TIMEOUT after HCCL_CONNECT_TIMEOUT, naming
  // the missing ones.
  void AwaitAll();

  // From now on the others see that this rank does not take part any more.
  void Leave();

  Channel& ChannelBetween(uint32_t from, uint32_t to);
  Doorbell& Bell(uint32_t rank) { return header_->slots[rank].doorbell; }
  Doorbell& OwnBell() { return Bell(rank_); }

  // Records the first failure and wakes everybody; later ones change nothing.
  void RecordFailure(abi::HcclResult code, const std::string& why);
  // Throws the failure that any rank recorded.
  void ThrowFailure() const;
  abi::HcclResult FailureCode() const;
  std::string FailureText() const;

  // Why `rank` will not answer any more: it died or left; empty when it is alive.
  std::string WhyGone(uint32_t rank) const;

 private:
  Segment(int fd, std::string id, uint32_t ranks, uint32_t rank);
  void Enter();
  void RingAll();

  const uint32_t ranks_;
  const uint32_t rank_;
  const std::string id_;
  SegmentHeader* header_ = nullptr;
  std::byte* channels_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace ascend_sim::hccl
