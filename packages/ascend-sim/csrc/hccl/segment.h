// SPDX-License-Identifier: Apache-2.0
//
// The memory that the ranks of a communicator share: which ranks have joined, the first failure,
// and a channel for every ordered pair of ranks.
//
// It is an anonymous file (memfd) without a name in /dev/shm or elsewhere. The kernel frees it with
// the last process that has it mapped, however that process ends. Ranks open it through
// /proc/PID/fd of the process that created it, whose PID is in the root info. That process closes
// its descriptor once all ranks have opened the file.
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

// What other ranks must know about a rank.
struct alignas(64) RankSlot {
  std::atomic<RankState> state;
  Doorbell doorbell;
  ProcessId process;  // valid once state is kHere
};

// The start of the file. All of it is initially zero.
struct SegmentHeader {
  char id[16];                  // of the communicator; the rest makes no sense without it
  std::atomic<uint32_t> ranks;  // 0 until the first rank says how many there are

  // The first failure. The communicator is unusable after it.
  enum class Failure : uint32_t { kNone, kBeingWritten, kThere };
  std::atomic<Failure> failed;
  uint32_t failed_rank;
  abi::HcclResult failed_code;
  char failed_why[488];

  RankSlot slots[kMaxRanks];
};

// Creates the memory of a new communicator, and writes to `info` how to find it. This process keeps
// it until all ranks have joined or the process ends.
void MakeRoot(abi::HcclRootInfo& info);

// One rank's mapping of the memory. Safe from any thread.
class Segment {
 public:
  // Opens the memory that `info` describes and takes the slot of `rank`. Fails if the creator has
  // ended or is on another host, if the ranks disagree about their number, or if the slot is taken.
  static std::shared_ptr<Segment> Join(const abi::HcclRootInfo& info, uint32_t ranks,
                                       uint32_t rank);
  ~Segment();
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  uint32_t Ranks() const { return ranks_; }
  uint32_t Rank() const { return rank_; }
  std::string Id() const;  // the same text on all ranks

  // Waits until all ranks have joined. Fails with HCCL_E_TIMEOUT after HCCL_CONNECT_TIMEOUT, and
  // names the missing ranks.
  void AwaitAll();

  // Tells the others that this rank has left.
  void Leave();

  Channel& ChannelBetween(uint32_t from, uint32_t to);
  Doorbell& Bell(uint32_t rank) { return header_->slots[rank].doorbell; }
  Doorbell& OwnBell() { return Bell(rank_); }

  // Records the first failure and wakes all ranks. Later failures are ignored.
  void RecordFailure(abi::HcclResult code, const std::string& why);
  // Throws the recorded failure, if any rank recorded one.
  void ThrowFailure() const;
  abi::HcclResult FailureCode() const;
  std::string FailureText() const;

  // Why `rank` no longer answers: it died or left. Empty if it is alive.
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
