// SPDX-License-Identifier: Apache-2.0
//
// Hooks around ABI functions. Hooks and faults (fault.h) see every call, because every ABI function
// goes through Call() of ascend_sim/call.h.
#pragma once

#include <cstdint>
#include <string>

#include "ascend_sim/call.h"

namespace ascend_sim {

// Called with the function's name, its code (kAfter; otherwise 0) and the hook's `user`, on the
// calling thread, with no lock held. ABI calls that the hook makes bypass all hooks and faults. The
// result matters for kInstead only: the call does nothing and returns it.
using HookFunction = int (*)(const char* call, int code, void* user);
enum class HookPhase { kBefore, kInstead, kAfter };

// Adds a hook to one function, or to all if `call` is empty; returns its id. Safe from any thread,
// as is RemoveHook. Calls in progress may still reach a hook after it is removed.
uint64_t AddHook(std::string call, HookPhase phase, HookFunction function, void* user);
void RemoveHook(uint64_t id);

// Updates `interposed`. Call it when the first fault is added or the last one removed.
void RefreshInterposed();

// The ABI function that this thread is in, while something is interposed; otherwise "".
const char* CurrentCall();

}  // namespace ascend_sim
