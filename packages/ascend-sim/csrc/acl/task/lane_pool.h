// SPDX-License-Identifier: Apache-2.0
//
// Threads for the lanes of graphs with more than one: borrowed for one replay, kept for the next.
#pragma once

#include <functional>

namespace ascend_sim {

// Runs `job`, which must not throw, on a thread of its own at once: lanes may wait for each other,
// so none may wait for a free thread. Ends the process when the host has no threads left, because
// half a replay cannot be cancelled.
void RunOnLanePool(std::function<void()> job) noexcept;

}  // namespace ascend_sim
