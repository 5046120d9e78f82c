// SPDX-License-Identifier: Apache-2.0
//
// The environment variables of HCCL that have an effect here.
#pragma once

#include <chrono>
#include <optional>

namespace ascend_sim::hccl {

// How long a communicator waits for its ranks to join: HCCL_CONNECT_TIMEOUT in seconds, 1 to 7200;
// the default is 120. (HCCL itself accepts no less than 120; a simulation need not wait that long.)
// Fails with HCCL_E_PARA.
std::chrono::seconds ConnectTimeout();

// How long a collective waits for another rank: HCCL_EXEC_TIMEOUT in seconds, 0 for no limit; the
// default is 1836. Fails with HCCL_E_PARA.
std::optional<std::chrono::seconds> ExecTimeout();

// HCCL_OP_EXPANSION_MODE=AIV: collectives are kernels of the vector cores, not tasks on streams of
// their own. Nothing else differs here.
bool ExpandsOnVectorCores();

}  // namespace ascend_sim::hccl
