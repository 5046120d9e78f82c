// SPDX-License-Identifier: Apache-2.0
//
// Send and receive: single, in batches and in groups.
#pragma once

#include "ascend_sim/launch.h"

namespace ascend_sim::hccl {

// Between the two calls, sends and receives of this thread are collected. The end of the outermost
// group puts them on their streams, one batch for each communicator and stream. Other collectives
// are not collected. For libhcomm.
ASCEND_SIM_EXPORT int GroupStart() noexcept;
ASCEND_SIM_EXPORT int GroupEnd() noexcept;

}  // namespace ascend_sim::hccl
