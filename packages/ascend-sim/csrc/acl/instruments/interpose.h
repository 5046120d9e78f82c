// SPDX-License-Identifier: Apache-2.0
//
// Hooks around ABI functions, and where hooks and faults (fault.h) meet the calls: every ABI
// function passes Call() of ascend_sim/call.h.
#pragma once

#include <cstdint>
#include <string>

#include "ascend_sim/call.h"

namespace ascend_sim {

// Called with the name of the function, its code (kAfter; 0 else) and the `user` given with it, on
// the thread of the call and with no lock held. What it calls itself passes by all hooks and
// faults. The result counts for kInstead only: it is the code that the call returns without doing
// anything.
using HookFunction = int (*)(const char* call, int code, void* user);
enum class HookPhase { kBefore, kInstead, kAfter };

// Adds a hook to one function, or to all when `call` is empty; returns its id. Safe from any
// thread, like RemoveHook, after which calls that are already on their way may still come to it.
uint64_t AddHook(std::string call, HookPhase phase, HookFunction function, void* user);
void RemoveHook(uint64_t id);

// Sets `interposed`; to be called when the first or last fault comes or goes.
void RefreshInterposed();

// The ABI function this thread is in, while something is interposed; "" elsewhere.
const char* CurrentCall();

}  // namespace ascend_sim
