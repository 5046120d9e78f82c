// SPDX-License-Identifier: Apache-2.0
//
// The clock of all time-outs and time stamps.
#pragma once

#include <chrono>
#include <optional>

namespace ascend_sim {

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;  // none: for ever

}  // namespace ascend_sim
