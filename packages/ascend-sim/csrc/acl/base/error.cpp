// SPDX-License-Identifier: Apache-2.0
#include "acl/base/error.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <utility>

#include "abi/hccl.h"

namespace ascend_sim {
namespace {

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

// A plain pointer: libraries call from their exit handlers, when the objects of the thread
// are gone. The text that they get then is not freed.
thread_local ThreadErrors* t_errors = nullptr;

struct ThreadErrorsOwner {
  ~ThreadErrorsOwner() { delete std::exchange(t_errors, nullptr); }
};

}  // namespace

ThreadErrors& ErrorsOfThread() {
  thread_local const ThreadErrorsOwner owner;
  if (t_errors == nullptr) t_errors = new ThreadErrors;
  return *t_errors;
}

std::string ErrorMessage(int code, const std::string& what) {
  const char* name = CodeName(code);
  return "[PID: " + std::to_string(getpid()) + "] " + Timestamp() + " " + Title(code) + ": " +
         what + " (" + (name != nullptr ? name + std::string(", ") : "") + std::to_string(code) +
         ").\n";
}

int Fail(int code, const char* call, const std::string& why) noexcept {
  try {
    ThreadErrors& errors = ErrorsOfThread();
    errors.last = code;
    // Bounded, because a caller may never fetch the text.
    constexpr size_t kKeep = 4096;
    const std::string text = ErrorMessage(code, std::string(call) + " failed: " + why);
    errors.pending.insert(0, text);
    if (errors.pending.size() > kKeep) errors.pending.resize(kKeep);
  } catch (...) {  // out of memory while reporting: the code alone must do
  }
  return code;
}

}  // namespace ascend_sim
