// SPDX-License-Identifier: Apache-2.0
//
// ASCEND_RT_VISIBLE_DEVICES: which of the machine's devices a process has, and which number each of
// them gets there.
#pragma once

#include <vector>

namespace ascend_sim {

// The devices that the variable leaves of `number`, in the order of their numbers in the process;
// all when it is not set. As on a device: what follows the first character that is no digit and no
// comma is not read, nor is what follows a device that does not exist; numbers that do not ascend
// leave none (torch_npu's own reading of the variable, npu/__init__.py).
std::vector<int> VisibleDevices(int number);

}  // namespace ascend_sim
