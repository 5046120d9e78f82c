// SPDX-License-Identifier: Apache-2.0
//
// Value writes and waits as work that can be made anew with other values.
#pragma once

#include <functional>

#include "acl/base/task_detail.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

// What a value write or wait does; fails with 107000 for values that cannot be.
std::function<void()> ValueWork(TaskKind kind, const ValueDetail& detail);

}  // namespace ascend_sim
