// SPDX-License-Identifier: Apache-2.0
#include "hccl/exchange.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "ascend_sim/blocking.h"
#include "hccl/data_type.h"
#include "hccl/error.h"

namespace ascend_sim::hccl {
namespace {

using Clock = std::chrono::steady_clock;

// How often a waiting exchange checks whether waiting still makes sense.
constexpr auto kWatch = std::chrono::milliseconds(5);

// "rank 1, 3"
std::string RankNames(uint64_t ranks) {
  std::string names;
  for (uint32_t rank = 0; rank < kMaxRanks; ++rank) {
    if (ranks >> rank & 1) names += (names.empty() ? "rank " : ", ") + std::to_string(rank);
  }
  return names;
}

[[noreturn]] void RaiseMismatch(const Message& own, uint32_t rank, const Message& other,
                                uint32_t other_rank) {
  Raise(abi::kHcclPara, "the ranks execute different collectives: rank " + std::to_string(rank) +
                            " does " + Describe(own) + "; rank " + std::to_string(other_rank) +
                            " does " + Describe(other) +
                            ". All ranks must call the same collectives in the same order, with "
                            "the same counts, types and roots");
}

// The next chunk of `channel`, if there is one. It must belong to `expected`.
const Channel::Chunk* Expect(const Channel& channel, const Message& expected, uint32_t from,
                             uint32_t to) {
  const Channel::Chunk* chunk = channel.Peek();
  if (chunk == nullptr || chunk->message == expected) return chunk;
  RaiseMismatch(expected, to, chunk->message, from);
}

class SendStep : public Step {
 public:
  SendStep(Segment& segment, const Message& message, uint32_t to, const std::byte* data)
      : channel_(segment.ChannelBetween(segment.Rank(), to)),
        bell_(segment.Bell(to)),
        message_(message),
        to_(to),
        data_(data) {}

  bool Advance() override {
    bool advanced = false;
    while (!Moved() && channel_.HasRoom()) {
      const size_t bytes = std::min<size_t>(message_.bytes - sent_, Channel::kChunkBytes);
      if (bytes > 0) std::memcpy(channel_.Next(), data_ + sent_, bytes);
      channel_.Publish(message_, static_cast<uint32_t>(bytes));
      bell_.Ring();
      sent_ += bytes;
      begun_ = advanced = true;
    }
    return advanced;
  }
  bool Moved() const override { return begun_ && sent_ == message_.bytes; }
  bool Done() const override { return Moved() && channel_.Drained(); }
  bool Sends() const override { return true; }
  uint64_t Peers() const override { return uint64_t{1} << to_; }
  std::string Waiting() const override {
    return "rank " + std::to_string(to_) + " has not taken " + Describe(message_);
  }

 private:
  Channel& channel_;
  Doorbell& bell_;
  const Message message_;
  const uint32_t to_;
  const std::byte* const data_;
  size_t sent_ = 0;
  bool begun_ = false;  // an empty message is one empty chunk
};

class ReceiveStep : public Step {
 public:
  ReceiveStep(Segment& segment, const Message& message, uint32_t from, std::byte* data)
      : channel_(segment.ChannelBetween(from, segment.Rank())),
        bell_(segment.Bell(from)),
        message_(message),
        from_(from),
        to_(segment.Rank()),
        data_(data) {}

  bool Advance() override {
    bool advanced = false;
    while (!Moved()) {
      const Channel::Chunk* chunk = Expect(channel_, message_, from_, to_);
      if (chunk == nullptr) break;
      const size_t bytes = chunk->bytes;
      if (bytes > 0) std::memcpy(data_ + received_, channel_.Contents(), bytes);
      channel_.Take();
      bell_.Ring();
      received_ += bytes;
      begun_ = advanced = true;
    }
    return advanced;
  }
  bool Moved() const override { return begun_ && received_ == message_.bytes; }
  bool Sends() const override { return false; }
  uint64_t Peers() const override { return uint64_t{1} << from_; }
  std::string Waiting() const override {
    return "rank " + std::to_string(from_) + " has not sent " + Describe(message_);
  }

 private:
  Channel& channel_;
  Doorbell& bell_;
  const Message message_;
  const uint32_t from_, to_;
  std::byte* const data_;
  size_t received_ = 0;
  bool begun_ = false;
};

// Reduces the same chunk of all other ranks at once. All of them must have arrived, because the
// arithmetic follows the order of ranks.
class ReduceStep : public Step {
 public:
  ReduceStep(Segment& segment, const Message& message, const std::byte* own, std::byte* out)
      : segment_(segment),
        message_(message),
        element_(TypeBytes(static_cast<abi::HcclDataType>(message.type))),
        own_(own),
        out_(out) {}

  bool Advance() override {
    bool advanced = false;
    while (!Moved()) {
      const size_t bytes = std::min<size_t>(message_.bytes - reduced_, Channel::kChunkBytes);
      if (!Gather()) break;
      Reduce(out_ + reduced_, inputs_.data(), inputs_.size(), bytes / element_,
             static_cast<abi::HcclDataType>(message_.type),
             static_cast<abi::HcclReduceOp>(message_.reduce));
      for (uint32_t rank = 0; rank < segment_.Ranks(); ++rank) {
        if (rank == segment_.Rank()) continue;
        segment_.ChannelBetween(rank, segment_.Rank()).Take();
        segment_.Bell(rank).Ring();
      }
      reduced_ += bytes;
      begun_ = advanced = true;
    }
    return advanced;
  }
  bool Moved() const override { return begun_ && reduced_ == message_.bytes; }
  bool Sends() const override { return false; }
  uint64_t Peers() const override {
    const uint64_t all =
        segment_.Ranks() == 64 ? ~uint64_t{0} : (uint64_t{1} << segment_.Ranks()) - 1;
    return all & ~(uint64_t{1} << segment_.Rank());
  }
  uint64_t Awaited() const override {
    uint64_t ranks = 0;
    for (uint32_t rank = 0; rank < segment_.Ranks(); ++rank) {
      const bool waits = rank != segment_.Rank() &&
                         segment_.ChannelBetween(rank, segment_.Rank()).Peek() == nullptr;
      if (waits) ranks |= uint64_t{1} << rank;
    }
    return ranks;
  }
  std::string Waiting() const override {
    return RankNames(Awaited()) + " has not sent its part of " + Describe(message_);
  }

 private:
  bool Gather() {
    inputs_.clear();
    for (uint32_t rank = 0; rank < segment_.Ranks(); ++rank) {
      if (rank == segment_.Rank()) {
        inputs_.push_back(own_ + reduced_);
        continue;
      }
      const Channel& channel = segment_.ChannelBetween(rank, segment_.Rank());
      if (Expect(channel, message_, rank, segment_.Rank()) == nullptr) return false;
      inputs_.push_back(channel.Contents());
    }
    return true;
  }

  Segment& segment_;
  const Message message_;
  const size_t element_;
  const std::byte* const own_;
  std::byte* const out_;
  std::vector<const std::byte*> inputs_;
  size_t reduced_ = 0;
  bool begun_ = false;
};

}  // namespace

Exchange::Exchange(Segment& segment, const Message& message, const Patience& patience)
    : segment_(segment), message_(message), patience_(patience) {}

void Exchange::Send(uint32_t to, const std::byte* data, size_t bytes) {
  Message message = message_;
  message.bytes = bytes;
  Send(to, data, message);
}

void Exchange::Send(uint32_t to, const std::byte* data, const Message& message) {
  steps_.push_back(std::make_unique<SendStep>(segment_, message, to, data));
}

void Exchange::Receive(uint32_t from, std::byte* data, size_t bytes) {
  Message message = message_;
  message.bytes = bytes;
  Receive(from, data, message);
}

void Exchange::Receive(uint32_t from, std::byte* data, const Message& message) {
  steps_.push_back(std::make_unique<ReceiveStep>(segment_, message, from, data));
}

void Exchange::ReceiveReduced(const std::byte* own, std::byte* out, size_t elements) {
  Message message = message_;
  message.bytes = elements * TypeBytes(static_cast<abi::HcclDataType>(message.type));
  steps_.push_back(std::make_unique<ReduceStep>(segment_, message, own, out));
}

bool Exchange::AdvanceAll() {
  bool advanced = false;
  uint64_t sending = 0, receiving = 0;  // channels that an earlier step still uses
  for (const auto& step : steps_) {
    if (step->Moved()) continue;
    uint64_t& busy = step->Sends() ? sending : receiving;
    if ((busy & step->Peers()) == 0 && step->Advance()) advanced = true;
    if (!step->Moved()) busy |= step->Peers();
  }
  return advanced;
}

bool Exchange::Finished(Until until) const {
  return std::all_of(steps_.begin(), steps_.end(), [until](const auto& step) {
    return until == Until::kMoved ? step->Moved() : step->Done();
  });
}

void Exchange::Run(Until until) {
  std::exception_ptr hopeless;  // set: one last look, as what is already there still counts
  for (;;) {
    const uint32_t seen = segment_.OwnBell().Count();
    const bool advanced = AdvanceAll();
    if (Finished(until)) break;
    if (advanced) {
      hopeless = nullptr;
      continue;
    }
    if (hopeless) std::rethrow_exception(hopeless);
    segment_.OwnBell().Wait(seen, kWatch);
    if (segment_.OwnBell().Count() != seen && segment_.FailureCode() == abi::kHcclSuccess) continue;
    ThrowIfCancelled();
    try {
      Watch();
    } catch (const Error&) {
      hopeless = std::current_exception();
    }
  }
  steps_.clear();
}

void Exchange::Watch() const {
  segment_.ThrowFailure();
  if (patience_.closing != nullptr && patience_.closing->load()) {
    Raise(abi::kHcclSuspending, "the communicator was destroyed during " + Describe(message_));
  }
  RequireSameCollective();
  std::string waiting;
  for (const auto& step : steps_) {
    if (step->Done()) continue;
    waiting = step->Waiting();
    for (uint32_t rank = 0; rank < segment_.Ranks(); ++rank) {
      if ((step->Awaited() >> rank & 1) == 0) continue;
      const std::string gone = segment_.WhyGone(rank);
      if (!gone.empty()) Raise(abi::kHcclRemote, gone + " and " + waiting);
    }
  }
  if (patience_.timeout && Clock::now() - begun_ >= *patience_.timeout) {
    Raise(abi::kHcclTimeout, waiting + " within " + std::to_string(patience_.timeout->count()) +
                                 " s (HCCL_EXEC_TIMEOUT)");
  }
}

// Also where nothing is expected: two ranks that broadcast from different roots would wait for each
// other forever.
void Exchange::RequireSameCollective() const {
  if (message_.sequence == 0) return;
  for (uint32_t rank = 0; rank < segment_.Ranks(); ++rank) {
    if (rank == segment_.Rank()) continue;
    const Channel::Chunk* chunk = segment_.ChannelBetween(rank, segment_.Rank()).Peek();
    if (chunk == nullptr || chunk->message.sequence != message_.sequence) continue;
    Message own = message_;
    own.bytes = chunk->message.bytes;
    if (chunk->message != own) RaiseMismatch(message_, segment_.Rank(), chunk->message, rank);
  }
}

}  // namespace ascend_sim::hccl
