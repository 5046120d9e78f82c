// SPDX-License-Identifier: Apache-2.0
//
// A communicator: one rank's membership in a group of ranks that execute collectives together.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "abi/hccl.h"
#include "ascend_sim/reservation.h"
#include "hccl/exchange.h"
#include "hccl/segment.h"

namespace ascend_sim::hccl {

// Options of a communicator.
struct CommunicatorOptions {
  std::string name;                             // empty: made from the root info
  std::optional<std::chrono::seconds> timeout;  // of a collective; none: for ever
  int streams = 0;                              // that it takes of its device

  // From the environment, and from `config` (may be null), whose values take precedence.
  static CommunicatorOptions From(const abi::HcclCommConfig* config);
};

// Owned by the handle table and by the tasks that use it, including tasks of graphs. Safe from any
// thread.
class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  // Takes the device resources of a communicator. Fails with HCCL_E_RUNTIME if there are not
  // enough.
  Communicator(std::shared_ptr<Segment> segment, CommunicatorOptions options, int device);

  uint32_t Ranks() const { return segment_->Ranks(); }
  uint32_t Rank() const { return segment_->Rank(); }
  const std::string& Name() const { return name_; }
  // The first failure of any rank; success if there is none.
  abi::HcclResult AsyncError() const { return segment_->FailureCode(); }
  std::string FailureText() const { return segment_->FailureText(); }

  // Fails with HCCL_E_PARA for a rank that does not exist.
  void RequireRank(uint32_t rank, const char* what) const;

  // Puts a collective on a stream. `body` runs once per execution, so a captured one runs in every
  // replay. It gets an exchange for its messages, with `message` and the number of this execution.
  // Executions of one communicator run one after another, whatever streams they are on.
  void Launch(void* stream, const char* name, const Message& message,
              std::function<void(Exchange&)> body);

  // Executes a collective at once, for a task that is on a stream already.
  void Execute(const Message& message, const std::function<void(Exchange&)>& body);

  // Ends the membership. Running and later collectives fail, here and on ranks that need this one.
  void Close();

 private:
  const std::shared_ptr<Segment> segment_;
  const std::string name_;
  const std::optional<std::chrono::seconds> timeout_;
  Reservation reservation_;  // until Close()
  std::atomic<bool> closing_{false};
  std::timed_mutex turn_;
  uint64_t sequence_ = 0;  // collectives executed; guarded by turn_
};

// The live communicator behind an argument. Fails with HCCL_E_PTR or HCCL_E_PARA.
std::shared_ptr<Communicator> CommunicatorArg(HcclComm handle);

// The live communicators with this name in this process, one per rank.
std::vector<std::shared_ptr<Communicator>> FindAll(const std::string& name);

// Registers the communicator and returns its handle.
HcclComm Register(std::shared_ptr<Communicator> communicator);

// Closes the communicator and invalidates its handle.
void Destroy(HcclComm handle);

}  // namespace ascend_sim::hccl
