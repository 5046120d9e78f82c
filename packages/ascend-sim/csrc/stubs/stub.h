// SPDX-License-Identifier: Apache-2.0
//
// What a generated stub does: an ABI function that torch_npu links against and the simulator does
// not implement. It is never silent: it names itself on stderr the first time, leaves the text for
// aclGetRecentErrMsg, and returns the error its library has for "not supported". A stub is weak, so
// that `nm -D` tells it (W) from an implemented function (T).
#pragma once

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <string>

#include "ascend_sim/launch.h"

namespace ascend_sim::stubs {

inline std::string Explanation(const char* name) {
  return std::string(name) + " is not implemented by ascend-sim (see `ascend-sim coverage`)";
}

inline void Announce(const char* name, std::atomic_flag& announced) {
  if (!announced.test_and_set())
    std::fprintf(stderr, "[ascend-sim] %s\n", Explanation(name).c_str());
}

template <class Result>
Result Refuse(const char* name, Result value, int code, std::atomic_flag& announced) {
  Announce(name, announced);
  Fail(code, name, Explanation(name));
  return value;
}

// For C++ functions with no way to return an error: constructors, and results by value.
[[noreturn]] inline void Throw(const char* name, int code, std::atomic_flag& announced) {
  Announce(name, announced);
  Fail(code, name, Explanation(name));
  throw std::runtime_error(Explanation(name));
}

}  // namespace ascend_sim::stubs

#define ASCEND_SIM_STUB_(id, symbol, type)                                                  \
  extern "C" __attribute__((weak, visibility("default"))) type stub_##id() __asm__(symbol); \
  extern "C" type stub_##id() {                                                             \
    static std::atomic_flag announced;

#define ASCEND_SIM_STUB_RETURN(id, symbol, name, type, value, code)     \
  ASCEND_SIM_STUB_(id, symbol, type)                                    \
  return ascend_sim::stubs::Refuse<type>(name, value, code, announced); \
  }

#define ASCEND_SIM_STUB_VOID(id, symbol, name, code)        \
  ASCEND_SIM_STUB_(id, symbol, void)                        \
  ascend_sim::stubs::Refuse<int>(name, 0, code, announced); \
  }

#define ASCEND_SIM_STUB_THROW(id, symbol, name, code) \
  ASCEND_SIM_STUB_(id, symbol, void)                  \
  ascend_sim::stubs::Throw(name, code, announced);    \
  }
