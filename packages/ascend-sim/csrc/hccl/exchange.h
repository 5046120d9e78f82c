// SPDX-License-Identifier: Apache-2.0
//
// One collective as one rank sees it: messages to and from other ranks, driven side by side until
// all are through. No message waits for another one unless both use the same channel.
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

// A message that is under way. Steps of one channel run in the order in which they were added.
class Step {
 public:
  virtual ~Step() = default;

  // Moves what can be moved without waiting; false if nothing could.
  virtual bool Advance() = 0;
  // Nothing is left to be moved, and the next step of its channels may begin.
  virtual bool Moved() const = 0;
  // Moved, and the other side has it too.
  virtual bool Done() const { return Moved(); }

  virtual bool Sends() const = 0;
  // The other ranks whose channels it uses, and those it waits for, as bits.
  virtual uint64_t Peers() const = 0;
  virtual uint64_t Awaited() const { return Peers(); }
  // For people: what has not happened.
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

  // The message of the exchange with `bytes` bytes to, or from, another rank; or one that is
  // described by itself. Data must stay valid until Run() returns.
  void Send(uint32_t to, const std::byte* data, size_t bytes);
  void Send(uint32_t to, const std::byte* data, const Message& message);
  void Receive(uint32_t from, std::byte* data, size_t bytes);
  void Receive(uint32_t from, std::byte* data, const Message& message);
  // Receives `elements` elements from every other rank and reduces them with `own` into `out`.
  void ReceiveReduced(const std::byte* own, std::byte* out, size_t elements);

  // Until everything is moved, or also taken by the others. Throws Error: the other side does
  // something else, does not answer in time, or is gone. Throws what ThrowIfCancelled() throws.
  enum class Until { kMoved, kTaken };
  void Run(Until until);

 private:
  bool AdvanceAll();
  bool Finished(Until until) const;
  // Throws when there is no use in waiting any longer.
  void Watch() const;
  void RequireSameCollective() const;

  Segment& segment_;
  const Message message_;
  const Patience patience_;
  const std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace ascend_sim::hccl
