// SPDX-License-Identifier: Apache-2.0
//
// For tasks that wait: a stream can be destroyed by force while its task still waits for something.
#pragma once

#include "ascend_sim/launch.h"

namespace ascend_sim {

// To be called every few milliseconds by a task that waits, on the thread that runs it: throws out
// of the task when its stream is being destroyed. What is thrown is the runtime's own business; let
// it pass.
ASCEND_SIM_EXPORT void ThrowIfCancelled();

}  // namespace ascend_sim
