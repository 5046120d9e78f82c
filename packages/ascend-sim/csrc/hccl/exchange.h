// SPDX-License-Identifier: Apache-2.0
//
// One collective from one rank's point of view: messages to and from other ranks, which make
// progress concurrently until all are complete. A message waits for another only if both use the
// same channel.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hccl/channel.h"
#include "hccl/segment.h"

namespace ascend_sim::hccl {

// A message in progress. Steps of one channel run in the order in which they were added.
class Step {
 public:
  virtual ~Step() = default;

  // Moves data that can be moved without waiting. Returns whether there was any.
  virtual bool Advance() = 0;
  // Whether everything has been moved, so that the next step of its channels may begin.
  virtual bool Moved() const = 0;
  // Whether everything has been moved and the other side has received it.
  virtual bool Done() const { return Moved(); }

  virtual bool Sends() const = 0;
  // The other ranks whose channels it uses, and those that it waits for, as bits.
  virtual uint64_t Peers() const = 0;
  virtual uint64_t Awaited() const { return Peers(); }
  // Readable: what has not happened.
  virtual std::string Waiting() const = 0;
};

// Limits of an exchange.
struct Patience {
  std::optional<std::chrono::seconds> timeout;  // for the whole of it; none: for ever
  const std::atomic<bool>* closing = nullptr;   // this rank is destroying its communicator
};

// Lives for one execution of one collective, on the thread that runs it.
class Exchange {
 public:
  Exchange(Segment& segment, const Message& message, const Patience& patience);

  // Sends `bytes` bytes to another rank, or receives them, as part of the exchange's message or of
  // a given one. Data must stay valid until Run() returns.
  void Send(uint32_t to, const std::byte* data, size_t bytes);
  void Send(uint32_t to, const std::byte* data, const Message& message);
  void Receive(uint32_t from, std::byte* data, size_t bytes);
  void Receive(uint32_t from, std::byte* data, const Message& message);
  // Receives `elements` elements from every other rank and reduces them with `own` into `out`.
  void ReceiveReduced(const std::byte* own, std::byte* out, size_t elements);

  // Runs until everything has been moved, or until the others have received it too. Throws Error if
  // the other side executes something else, does not answer in time, or is gone. Also throws what
  // ThrowIfCancelled() throws.
  enum class Until { kMoved, kTaken };
  void Run(Until until);

 private:
  bool AdvanceAll();
  bool Finished(Until until) const;
  // Throws if waiting longer is pointless.
  void Watch() const;
  void RequireSameCollective() const;

  Segment& segment_;
  const Message message_;
  const Patience patience_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace ascend_sim::hccl
