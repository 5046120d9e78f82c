// SPDX-License-Identifier: Apache-2.0
//
// The seam between the ledger of libascendcl and what takes streams and notifies of a device
// without making stream objects: a communicator of libhccl.
#pragma once

#include <memory>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// Streams and notifies of one device, given back when the object goes. They count like those that
// aclrtCreateStream and aclrtCreateNotify make: aclrtGetStreamAvailableNum falls by the streams.
// Movable; one thread at a time, different objects from any thread. An object may outlive the reset
// of its device; what it holds stays taken until it goes.
class ASCEND_SIM_EXPORT Reservation {
 public:
  Reservation() noexcept;  // holds nothing
  ~Reservation();
  Reservation(Reservation&&) noexcept;
  Reservation& operator=(Reservation&&) noexcept;

  // Gives back what the object holds and takes this instead: all of it, or nothing. Returns
  // ACL_SUCCESS, or the code that `call` must return, whose text for aclGetRecentErrMsg is set:
  // 107001 (no such device), 207008 (no stream id), 207005 (no hardware queue), 207009 (no notify).
  int Take(const char* call, int device, int streams, int notifies) noexcept;
  void Release() noexcept;

 private:
  struct Held;
  std::unique_ptr<Held> held_;
};

}  // namespace ascend_sim
