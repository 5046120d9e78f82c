// SPDX-License-Identifier: Apache-2.0
//
// How an operator rejects its arguments.
#pragma once

#include <c10/util/StringUtil.h>

#include <stdexcept>
#include <string>

#include "ascend_sim/launch.h"

namespace ascend_sim::opapi {

// Codes of the aclnn layer that this library returns.
inline constexpr int kSuccess = 0;
inline constexpr int kParamNull = 161001;     // a required argument is null
inline constexpr int kParamInvalid = 161002;  // an argument has a value the operator does not take
inline constexpr int kInnerError = 561103;    // the operator could not be prepared

// An argument that the operator rejects; becomes `code` and the text of aclGetRecentErrMsg.
class ParamError : public std::runtime_error {
 public:
  ParamError(int code, const std::string& why) : std::runtime_error(why), code(code) {}
  const int code;
};

// What only a device rejects.
class LimitError : public ParamError {
 public:
  explicit LimitError(const std::string& why) : ParamError(kParamInvalid, why) {}
};

// Rejects an argument unless `condition` holds. For what the operator cannot compute.
template <class... Why>
void Require(bool condition, const Why&... why) {
  if (!condition) [[unlikely]] {
    throw ParamError(kParamInvalid, c10::str(why...));
  }
}

// Likewise for what this operator can compute but the device's does not take: `--limits off` lifts
// it. The text names the argument and what is expected; its source stands next to the call.
template <class... Why>
void Limit(bool condition, const Why&... why) {
  if (!condition && DeviceLimits()) [[unlikely]] {
    throw LimitError(c10::str(why..., " (a limit of the device; `--limits off` lifts it)"));
  }
}

}  // namespace ascend_sim::opapi
