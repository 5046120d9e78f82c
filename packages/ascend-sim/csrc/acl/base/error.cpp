// SPDX-License-Identifier: Apache-2.0
#include "acl/base/error.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "abi/acl.h"
#include "abi/hccl.h"
#include "acl/runtime/context.h"

namespace ascend_sim {
namespace {

// Error state is per thread, as in CANN's default configuration; nothing here is shared.
struct ThreadErrors {
  std::string pending;   // not yet fetched, newest first
  std::string returned;  // keeps the last answer of aclGetRecentErrMsg alive
  int last = kSuccess;
};

ThreadErrors& Errors() {
  thread_local ThreadErrors errors;
  return errors;
}

// Title and message code of the first line, by the group the code belongs to.
const char* Title(int code) {
  switch (code) {
    case kSuccess:
      return "Success(EE0000)";
    case kInvalidParam:
      return "Invalid_Argument_Null_Pointer(EE1004)";
    case kFftsPlusTimeout:
    case abi::kHcclTimeout:
    case abi::kHcclRemote:
      return "Communication_Error_Timeout(EI0002)";
    case abi::kHcclPara:
    case abi::kHcclPtr:
      return "Communication_Error_Invalid_Argument(EI0003)";
    case abi::kHcclTcpConnect:
      return "Communication_Error_Connection(EI0006)";
    case kStreamSyncTimeout:
    case kEventSyncTimeout:
      return "Synchronization_Timeout(EE1002)";
    case kCaptureModeNotSupport:
    case kCaptureModeBlockAsync:
    case kStreamCaptured:
    case kEventCaptured:
    case kModelCaptured:
      return "Not_Supported_In_Capture(EE1016)";
    case kNotSupported:
      return "Not_Supported(EE1006)";
    case kModelExecute:
    case kModelRunning:
      return "Model_Execution_Error(EE1009)";
    case kContextNull:
    case kStreamContext:
    case kModelContext:
      return "Context_Mismatch(EE1010)";
    case kTaskGroupStatus:
    case kStreamNotCaptured:
    case kCaptureUnmatched:
      return "Invalid_Call_Order(EE1018)";
    case kMemoryAllocation:
    case kResourceAlloc:
    case kNoEvent:
    case kNoStream:
    case kNoNotify:
    case kNoModel:
      return "Insufficient_Resources(EE1023)";
    default:
      break;
  }
  if (code >= 500000) return "Execution_Error(EE1019)";
  return code >= 200000 ? "Not_Supported(EE1006)" : "Invalid_Argument(EE1001)";
}

std::string Timestamp() {
  using std::chrono::system_clock;
  const auto now = system_clock::now();
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const std::time_t seconds = system_clock::to_time_t(now);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%d-%H:%M:%S", &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%s.%03d.%03d", date, static_cast<int>(micros / 1000 % 1000),
                static_cast<int>(micros % 1000));
  return text;
}

// `what` happened, in the form of CANN's messages.
std::string Message(int code, const std::string& what) {
  const char* name = CodeName(code);
  return "[PID: " + std::to_string(getpid()) + "] " + Timestamp() + " " + Title(code) + ": " +
         what + " (" + (name != nullptr ? name + std::string(", ") : "") + std::to_string(code) +
         ").\n";
}

// What the device of this thread failed with, if it did: that is to be had for as long as the
// device keeps it; and what it refused, while that is the last error of this thread. torch_npu asks
// twice, prints the first answer and raises the second.
std::string DeviceFailure() {
  const auto& context = ThisThread().context;
  if (context == nullptr || context->Released()) return {};
  try {
    context->OnDevice().ThrowFailure();
  } catch (const Failure& failure) {
    return Message(failure.code, failure.why);
  }
  if (Errors().last != kAclnnParamInvalid) return {};
  const std::string refusal = context->OnDevice().ReportedRefusal();
  return refusal.empty() ? refusal : Message(kAclnnParamInvalid, refusal);
}

}  // namespace

int Fail(int code, const char* call, const std::string& why) noexcept {
  try {
    ThreadErrors& errors = Errors();
    errors.last = code;
    // Bounded: a caller that never fetches the text must not grow it for ever.
    constexpr size_t kKeep = 4096;
    const std::string text = Message(code, std::string(call) + " failed: " + why);
    errors.pending.insert(0, text);
    if (errors.pending.size() > kKeep) errors.pending.resize(kKeep);
  } catch (...) {  // out of memory while reporting: the code alone must do
  }
  return code;
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI const char* aclGetRecentErrMsg() {
  ThreadErrors& errors = Errors();
  try {
    errors.returned = errors.pending.empty() ? DeviceFailure() : std::exchange(errors.pending, {});
  } catch (...) {  // out of memory while reporting
    return nullptr;
  }
  return errors.returned.empty() ? nullptr : errors.returned.c_str();
}

// The only level is 0, the thread.
ASCEND_SIM_ABI aclError aclrtPeekAtLastError(int) { return Errors().last; }

ASCEND_SIM_ABI aclError aclrtGetLastError(int) { return std::exchange(Errors().last, kSuccess); }
