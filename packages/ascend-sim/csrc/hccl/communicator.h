// SPDX-License-Identifier: Apache-2.0
//
// A communicator: one rank's membership in a group that does collectives together.
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

// What a caller may choose for a communicator.
struct CommunicatorOptions {
  std::string name;                             // empty: made from the root info
  std::optional<std::chrono::seconds> timeout;  // of a collective; none: for ever
  int streams = 0;                              // that it takes of its device

  // From the environment, and from `config` where it is not null and says something.
  static CommunicatorOptions From(const abi::HcclCommConfig* config);
};

// Owned by the handle table and by the tasks that use it, which are kept by graphs too. Safe from
// any thread.
class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  // Takes what a communicator costs of the device; fails with HCCL_E_RUNTIME when there is not
  // enough.
  Communicator(std::shared_ptr<Segment> segment, CommunicatorOptions options, int device);

  uint32_t Ranks() const { return segment_->Ranks(); }
  uint32_t Rank() const { return segment_->Rank(); }
  const std::string& Name() const { return name_; }
  // The first failure of any rank; success while there is none.
  abi::HcclResult AsyncError() const { return segment_->FailureCode(); }
  std::string FailureText() const { return segment_->FailureText(); }

  // Fails with HCCL_E_PARA for a rank that does not exist.
  void RequireRank(uint32_t rank, const char* what) const;

  // Puts a collective on a stream. `body` does it, once per execution: a captured one runs in every
  // replay. It gets an exchange for its messages, with `message` and the number of this execution.
  // Executions of one communicator follow each other, whatever streams they are on.
  void Launch(void* stream, const char* name, const Message& message,
              std::function<void(Exchange&)> body);

  // Does a collective here and now, for a task that is on a stream already.
  void Execute(const Message& message, const std::function<void(Exchange&)>& body);

  // Ends the membership: what is running or still comes fails, here and where it needs this rank.
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

// The live communicator of an argument; fails with HCCL_E_PTR or HCCL_E_PARA.
std::shared_ptr<Communicator> CommunicatorArg(HcclComm handle);

// The live communicators of this name in this process, one for each of its ranks.
std::vector<std::shared_ptr<Communicator>> FindAll(const std::string& name);

// Makes the communicator known; returns its handle.
HcclComm Register(std::shared_ptr<Communicator> communicator);

// Closes the communicator and makes its handle stale.
void Destroy(HcclComm handle);

}  // namespace ascend_sim::hccl
