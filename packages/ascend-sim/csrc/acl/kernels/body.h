// SPDX-License-Identifier: Apache-2.0
//
// The bodies of all kernels, by name.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "ascend_sim/kernel.h"

namespace ascend_sim {

// The body of the kernels of this name; null when there is none. Loads the library of bodies that
// comes with the simulator before it says so. Safe from any thread.
std::shared_ptr<const KernelBody> FindBody(std::string_view name);

// Makes `body` that of the kernels of this name from their next launch on, whatever body they had.
void SetBodyOfProgram(const std::string& name, KernelBody body);

// Throws std::runtime_error unless the device can reach all that the kernel `name` touches.
void RequireReach(const char* name, const Touches& touches);

// Loads that library, once; returns why it could not be loaded, or nothing.
const std::string& WhyNoBodies();

}  // namespace ascend_sim
