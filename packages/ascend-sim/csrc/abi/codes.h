// SPDX-License-Identifier: Apache-2.0
//
// The one table of the codes libascendcl returns: number, C++ name, documented name.
// Numbers and documented names are facts of the ABI.
#pragma once

#include <string_view>

namespace ascend_sim {

// clang-format off
#define ASCEND_SIM_CODES(X) \
  X(0, kSuccess, "ACL_SUCCESS") \
  X(100000, kInvalidParam, "ACL_ERROR_INVALID_PARAM") \
  X(100002, kRepeatInitialize, "ACL_ERROR_REPEAT_INITIALIZE") \
  X(100037, kRepeatFinalize, "ACL_ERROR_REPEAT_FINALIZE") \
  X(100042, kProfilingRunning, "ACL_ERROR_PROF_ALREADY_RUN") \
  X(100043, kProfilingNotRunning, "ACL_ERROR_PROF_NOT_RUN") \
  X(107000, kRtParamInvalid, "ACL_ERROR_RT_PARAM_INVALID") \
  X(107001, kInvalidDeviceId, "ACL_ERROR_RT_INVALID_DEVICEID") \
  X(107002, kContextNull, "ACL_ERROR_RT_CONTEXT_NULL") \
  X(107003, kStreamContext, "ACL_ERROR_RT_STREAM_CONTEXT") \
  X(107004, kModelContext, "ACL_ERROR_RT_MODEL_CONTEXT") \
  X(107005, kStreamModel, "ACL_ERROR_RT_STREAM_MODEL") \
  X(107006, kEventTimestampInvalid, "ACL_ERROR_RT_EVENT_TIMESTAMP_INVALID") \
  X(107011, kStreamSubscribe, "ACL_ERROR_RT_STREAM_SUBSCRIBE") \
  X(107012, kThreadSubscribe, "ACL_ERROR_RT_THREAD_SUBSCRIBE") \
  X(107015, kStreamNoCallback, "ACL_ERROR_RT_STREAM_NO_CB_REG") \
  X(107017, kInvalidHandle, "ACL_ERROR_RT_INVALID_HANDLE") \
  X(107019, kWaitTimeout, "ACL_ERROR_RT_WAIT_TIMEOUT") \
  X(107020, kTaskTimeout, "ACL_ERROR_RT_TASK_TIMEOUT") \
  X(107022, kDeviceTaskAbort, "ACL_ERROR_RT_DEVICE_TASK_ABORT") \
  X(107023, kStreamAbort, "ACL_ERROR_RT_STREAM_ABORT") \
  X(107024, kCaptureDependency, "ACL_ERROR_RT_CAPTURE_DEPENDENCY") \
  X(107025, kStreamUnjoined, "ACL_ERROR_RT_STREAM_UNJOINED") \
  X(107026, kModelCaptured, "ACL_ERROR_RT_MODEL_CAPTURED") \
  X(107027, kStreamCaptured, "ACL_ERROR_RT_STREAM_CAPTURED") \
  X(107028, kEventCaptured, "ACL_ERROR_RT_EVENT_CAPTURED") \
  X(107029, kStreamNotCaptured, "ACL_ERROR_RT_STREAM_NOT_CAPTURED") \
  X(107030, kCaptureModeNotSupport, "ACL_ERROR_RT_CAPTURE_MODE_NOT_SUPPORT") \
  X(107031, kCaptureImplicit, "ACL_ERROR_RT_STREAM_CAPTURE_IMPLICIT") \
  X(107032, kCaptureConflict, "ACL_ERROR_STREAM_CAPTURE_CONFLICT") \
  X(107033, kTaskGroupStatus, "ACL_ERROR_STREAM_TASK_GROUP_STATUS") \
  X(107034, kTaskGroupInterrupted, "ACL_ERROR_STREAM_TASK_GROUP_INTR") \
  X(107036, kCaptureUnmatched, "ACL_ERROR_RT_STREAM_CAPTURE_UNMATCHED") \
  X(107037, kModelRunning, "ACL_ERROR_RT_MODEL_RUNNING") \
  X(107038, kCaptureWrongThread, "ACL_ERROR_RT_STREAM_CAPTURE_WRONG_THREAD") \
  X(107039, kShortArray, "ACL_ERROR_RT_INSUFFICIENT_INPUT_ARRAY") \
  X(107040, kModelUpdate, "ACL_ERROR_RT_MODEL_UPDATE_FAILED") \
  X(107041, kCaptureModeBlockAsync, "ACL_ERROR_RT_CAPTURE_MODE_BLOCK_ASYNC") \
  X(107045, kChildCapturing, "ACL_ERROR_RT_SUB_ACLGRAPH_IS_CAPTURING") \
  X(161002, kAclnnParamInvalid, "ACLNN_ERR_PARAM_INVALID") \
  X(207000, kNotSupported, "ACL_ERROR_RT_FEATURE_NOT_SUPPORT") \
  X(207001, kMemoryAllocation, "ACL_ERROR_RT_MEMORY_ALLOCATION") \
  X(207005, kResourceAlloc, "ACL_ERROR_RT_RESOURCE_ALLOC_FAIL") \
  X(207007, kNoEvent, "ACL_ERROR_RT_NO_EVENT_RESOURCE") \
  X(207008, kNoStream, "ACL_ERROR_RT_NO_STREAM_RESOURCE") \
  X(207009, kNoNotify, "ACL_ERROR_RT_NO_NOTIFY_RESOURCE") \
  X(207010, kNoModel, "ACL_ERROR_RT_NO_MODEL_RESOURCE") \
  X(507000, kInternal, "ACL_ERROR_RT_INTERNAL_ERROR") \
  X(507002, kStreamFull, "ACL_ERROR_RT_STREAM_TASK_FULL") \
  X(507006, kEventNotComplete, "ACL_ERROR_RT_EVENT_NOT_COMPLETE") \
  X(507007, kContextRelease, "ACL_ERROR_RT_CONTEXT_RELEASE_ERROR") \
  X(507009, kTaskTypeNotSupport, "ACL_ERROR_RT_TASK_TYPE_NOT_SUPPORT") \
  X(507010, kLostHeartbeat, "ACL_ERROR_RT_LOST_HEARTBEAT") \
  X(507011, kModelExecute, "ACL_ERROR_RT_MODEL_EXECUTE") \
  X(507012, kReportTimeout, "ACL_ERROR_RT_REPORT_TIMEOUT") \
  X(507015, kAicoreException, "ACL_ERROR_RT_AICORE_EXCEPTION") \
  X(507046, kStreamSyncTimeout, "ACL_ERROR_RT_STREAM_SYNC_TIMEOUT") \
  X(507047, kEventSyncTimeout, "ACL_ERROR_RT_EVENT_SYNC_TIMEOUT") \
  X(507048, kFftsPlusTimeout, "ACL_ERROR_RT_FFTS_PLUS_TIMEOUT") \
  X(507899, kDriver, "ACL_ERROR_RT_DRV_INTERNAL_ERROR") \
  X(507903, kCaptureInvalidated, "ACL_ERROR_RT_STREAM_CAPTURE_INVALIDATED") \
  X(507910, kHostRegistered, "ACL_ERROR_HOST_MEMORY_ALREADY_REGISTERED") \
  X(507911, kHostNotRegistered, "ACL_ERROR_HOST_MEMORY_NOT_REGISTERED")
// clang-format on

#define ASCEND_SIM_CODE_ENUM(number, name, text) name = number,
enum Code : int { ASCEND_SIM_CODES(ASCEND_SIM_CODE_ENUM) };
#undef ASCEND_SIM_CODE_ENUM

// The documented name of `code`; null for a code of another library.
inline const char* CodeName(int code) noexcept {
#define ASCEND_SIM_CODE_CASE(number, name, text) \
  case number:                                   \
    return text;
  switch (code) { ASCEND_SIM_CODES(ASCEND_SIM_CODE_CASE) }
#undef ASCEND_SIM_CODE_CASE
  return nullptr;
}

// The code with a documented name; -1 when there is none.
inline int CodeNamed(std::string_view name) noexcept {
#define ASCEND_SIM_CODE_IF(number, identifier, text) \
  if (name == text) return number;
  ASCEND_SIM_CODES(ASCEND_SIM_CODE_IF)
#undef ASCEND_SIM_CODE_IF
  return -1;
}

}  // namespace ascend_sim
