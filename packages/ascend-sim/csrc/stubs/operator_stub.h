// SPDX-License-Identifier: Apache-2.0
//
// What a generated stub of an operator does: torch_npu calls the operator, and the simulator does
// not have it. Both phases fail, and say which function of torch led there. A stub is weak: one
// that csrc/opapi declares takes its place.
#pragma once

#include <atomic>
#include <cstdio>
#include <string>

#include "ascend_sim/launch.h"

namespace ascend_sim::stubs {

// `origin` names functions of torch, or is empty.
inline int RefuseOperator(const char* name, const char* origin, std::atomic_flag& announced) {
  constexpr int kNoKernel = 561003;  // CANN's code for an operator that is not installed
  std::string why = "ascend-sim does not simulate this operator";
  if (*origin != '\0') why += std::string("; ") + origin + " led to it";
  why += " (`ascend-sim coverage --library libopapi --list` shows which there are)";
  if (!announced.test_and_set()) std::fprintf(stderr, "[ascend-sim] %s: %s\n", name, why.c_str());
  return Fail(kNoKernel, name, why);
}

}  // namespace ascend_sim::stubs

#define ASCEND_SIM_STUB_ACLNN(name, origin)                                              \
  static std::atomic_flag name##_announced;                                              \
  extern "C" __attribute__((weak, visibility("default"))) int name##GetWorkspaceSize() { \
    return ascend_sim::stubs::RefuseOperator(#name, origin, name##_announced);           \
  }                                                                                      \
  extern "C" __attribute__((weak, visibility("default"))) int name() {                   \
    return ascend_sim::stubs::RefuseOperator(#name, origin, name##_announced);           \
  }
