// SPDX-License-Identifier: Apache-2.0
//
// The way that every ABI function goes, in all libraries: hooks see the call, and faults may take
// its place (csrc/acl/instruments/interpose.h). With neither installed it costs one relaxed load.
//
// Only the functions that tell of errors (aclGetRecentErrMsg and aclrt...LastError) do not pass
// here: a hook that reads an error must not change it. Stubs do not either: they fail anyway.
#pragma once

#include <atomic>
#include <type_traits>
#include <utility>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// True while a hook or a fault is installed.
ASCEND_SIM_EXPORT extern std::atomic<bool> interposed;

// Runs `run(body)` between the hooks, unless a fault or a hook answers instead.
ASCEND_SIM_EXPORT int RunInterposed(const char* call, int (*run)(void*), void* body) noexcept;

// Runs `body`, the ABI function `call` (static storage); `body` returns the function's code and
// does not throw.
template <class Body>
int Call(const char* call, Body&& body) noexcept {
  if (interposed.load(std::memory_order_relaxed)) [[unlikely]] {
    using Function = std::remove_reference_t<Body>;
    return RunInterposed(
        call, [](void* it) -> int { return (*static_cast<Function*>(it))(); }, &body);
  }
  return body();
}

}  // namespace ascend_sim
