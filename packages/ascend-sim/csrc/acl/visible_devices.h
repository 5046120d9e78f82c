// SPDX-License-Identifier: Apache-2.0
//
// ASCEND_RT_VISIBLE_DEVICES: which of the machine's devices a process has, and which number each of
// them gets there.
#pragma once

#include <string_view>
#include <vector>

namespace ascend_sim {

// The devices that `wanted` leaves of `number`, in the order of their numbers in the process. As on
// a device: what follows the first character that is no digit and no comma is not read, nor is what
// follows a device that does not exist; numbers that do not ascend leave none (torch_npu's own
// reading of the variable, npu/__init__.py).
std::vector<int> VisibleDevices(std::string_view wanted, int number);

// The same for the variable of this process: all devices when it is not set.
std::vector<int> VisibleDevices(int number);

}  // namespace ascend_sim
