// SPDX-License-Identifier: Apache-2.0
//
// The time limit of streams that wait for events (aclrtSetOpWaitTimeout). One for the process; a
// wait keeps the limit that holds when it is issued or captured, and its time runs from the moment
// at which the stream reaches it.
#pragma once

#include <cstdint>
#include <string>

#include "acl/base/clock.h"
#include "acl/base/error.h"

namespace ascend_sim {

class WaitLimit {
 public:
  // Safe from any thread.
  static WaitLimit Current();

  // Calls `await(deadline)`, which returns whether the wait ended in time; fails with 107020 when
  // it did not.
  template <class Await>
  void Apply(Await await) const {
    const auto deadline =
        seconds_ == 0 ? Deadline() : Clock::now() + std::chrono::seconds(seconds_);
    if (await(deadline)) return;
    Raise(kTaskTimeout, "the event was not recorded within " + std::to_string(seconds_) +
                            " s, the limit of aclrtSetOpWaitTimeout");
  }

 private:
  explicit WaitLimit(uint32_t seconds) : seconds_(seconds) {}

  uint32_t seconds_;  // 0: for ever
};

}  // namespace ascend_sim
