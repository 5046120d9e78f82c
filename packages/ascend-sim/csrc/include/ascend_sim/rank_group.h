// SPDX-License-Identifier: Apache-2.0
//
// The seam between libhccl and the operators that talk to other ranks while they compute: they get
// the name of a communicator, as HcclGetCommName gives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// One rank's membership in a communicator. Keeps it alive, though not open.
class ASCEND_SIM_EXPORT RankGroup {
 public:
  using Parts = std::vector<std::vector<std::byte>>;  // one for every rank

  virtual ~RankGroup() = default;
  virtual uint32_t Ranks() const = 0;

  // Gives every rank its part and returns what each has for this one; sizes need not agree. To be
  // called by a task that is on a stream (and says that it waits), by all ranks in the same order.
  // Throws what a failing collective throws.
  virtual Parts AllToAll(Parts parts) = 0;
};

// The membership of `rank` in the communicator of this name in this process; null: there is none.
ASCEND_SIM_EXPORT std::shared_ptr<RankGroup> FindRankGroup(const std::string& name, uint32_t rank);

// The only membership in the communicator of this name in this process; null: none, or several.
ASCEND_SIM_EXPORT std::shared_ptr<RankGroup> FindRankGroup(const std::string& name);

}  // namespace ascend_sim
