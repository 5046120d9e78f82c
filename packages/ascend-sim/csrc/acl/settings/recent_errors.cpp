// SPDX-License-Identifier: Apache-2.0
//
// What callers ask about errors: the text of this thread's, or else what its device failed with.
#include <string>
#include <utility>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/runtime/context.h"

namespace ascend_sim {
namespace {

// What the device of this thread failed with, if it did: that is to be had for as long as the
// device keeps it; and what it refused, while that is the last error of this thread. torch_npu asks
// twice, prints the first answer and raises the second.
std::string DeviceFailure() {
  const auto& context = ThisThread().context;
  if (context == nullptr || context->Released()) return {};
  try {
    context->OnDevice().ThrowFailure();
  } catch (const Failure& failure) {
    return ErrorMessage(failure.code, failure.why);
  }
  if (ErrorsOfThread().last != kAclnnParamInvalid) return {};
  const std::string refusal = context->OnDevice().ReportedRefusal();
  return refusal.empty() ? refusal : ErrorMessage(kAclnnParamInvalid, refusal);
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI const char* aclGetRecentErrMsg() {
  ThreadErrors& errors = ErrorsOfThread();
  try {
    errors.returned = errors.pending.empty() ? DeviceFailure() : std::exchange(errors.pending, {});
  } catch (...) {  // out of memory while reporting
    return nullptr;
  }
  return errors.returned.empty() ? nullptr : errors.returned.c_str();
}

// The only level is 0, the thread.
ASCEND_SIM_ABI aclError aclrtPeekAtLastError(int) { return ErrorsOfThread().last; }

ASCEND_SIM_ABI aclError aclrtGetLastError(int) {
  return std::exchange(ErrorsOfThread().last, kSuccess);
}
