// SPDX-License-Identifier: Apache-2.0
//
// Own declarations of what crosses the C boundary of libascendcl: opaque handles, enumerations,
// structures. Names, numeric values and layouts are facts of the ABI; nothing here comes from
// CANN's headers.
#pragma once

#include <cstddef>
#include <cstdint>

// Marks a function of the ABI: C linkage, exported from a library built with hidden visibility.
#define ASCEND_SIM_ABI extern "C" __attribute__((visibility("default")))

using aclError = int;

// Handles are opaque tokens: never addresses of objects, never used twice (see acl/base/handle.h).
using aclrtContext = void*;
using aclrtStream = void*;
using aclrtEvent = void*;
using aclrtDrvMemHandle = void*;
using aclrtTaskGrp = void*;
using aclmdlRI = void*;
using aclmdlRICondHandle = void*;
using aclmdlRITask = void*;

using aclrtHostFunc = void (*)(void* args);
using aclrtCallback = void (*)(void* user_data);
using aclmdlRIDestroyCallback = void (*)(void* user_data);

namespace ascend_sim::abi {

enum CaptureMode : int { kCaptureGlobal = 0, kCaptureThreadLocal = 1, kCaptureRelaxed = 2 };
enum CaptureStatus : int { kCaptureNone = 0, kCaptureActive = 1, kCaptureStatusInvalidated = 2 };

enum EventFlag : uint32_t {
  kEventSync = 0x1,
  kEventCaptureStreamProgress = 0x2,
  kEventTimeLine = 0x8,
  kEventDeviceUseOnly = 0x10,
  kEventExternal = 0x20,
  kEventIpc = 0x40,
};

// Of records and waits: aclrtRecordEventWithFlag, aclrtStreamWaitEventWithFlag.
enum EventUse : uint32_t { kEventUseDefault = 0, kEventUseExternal = 1 };

enum StreamFlag : uint32_t {
  kStreamFastLaunch = 0x1,
  kStreamFastSync = 0x2,
  kStreamPersistent = 0x4,
  kStreamHuge = 0x8,
  kStreamCpuSchedule = 0x10,
  kStreamDeviceUseOnly = 0x20,
};

enum ConditionFlag : uint32_t { kConditionByUser = 0, kConditionAssignDefault = 1 };
enum ConditionType : uint32_t { kIf = 0, kWhile = 1, kSwitch = 2 };

enum TaskType : uint32_t {
  kTaskDefault = 0,
  kTaskKernel = 1,
  kTaskEventRecord = 2,
  kTaskEventWait = 3,
  kTaskEventReset = 4,
  kTaskValueWrite = 5,
  kTaskValueWait = 6,
};

// The fields and their order are the ABI's; the unions' members are told apart by `type`.
struct KernelTaskParams {
  void* function;
  void* config;
  void* args;
  uint32_t host_args;
  size_t args_size;
  uint32_t blocks;
  uint32_t reserved[10];
};
struct EventTaskParams {
  void* event;
  uint32_t event_flags;
  uint32_t use;
};
struct ValueTaskParams {
  void* address;
  uint64_t value;
  uint32_t flag;  // of a wait
};
struct TaskParams {
  uint32_t type;
  uint32_t reserved0[3];
  void* task_group;
  void* op_info;
  size_t op_info_size;
  uint8_t reserved1[32];
  union {
    uint8_t reserved2[128];
    KernelTaskParams kernel;
    EventTaskParams event;
    ValueTaskParams value;
  };
};
static_assert(sizeof(TaskParams) == 200 && offsetof(TaskParams, kernel) == 72);

enum ModelStreamFlag : uint32_t { kModelStreamHead = 0, kModelStreamDefault = 0x7fffffff };

enum EventRecordedStatus : int { kRecordedNotReady = 0, kRecordedComplete = 1 };
enum EventStatus : int { kEventStatusComplete = 0, kEventStatusNotReady = 1 };
enum EventWaitStatus : int { kWaitStatusComplete = 0, kWaitStatusNotReady = 1 };
enum StreamStatus : int { kStreamComplete = 0, kStreamNotReady = 1 };
enum StreamAttr : uint32_t { kStreamAttrFailureMode = 1, kStreamAttrCacheOpInfo = 4 };
enum StreamFailureMode : uint64_t { kContinueOnFailure = 0, kStopOnFailure = 1 };

enum ValueWaitFlag : uint32_t { kWaitGeq = 0, kWaitEq = 1, kWaitAnd = 2, kWaitNor = 3 };

enum CallbackBlockType : int { kCallbackNoBlock = 0, kCallbackBlock = 1 };

enum MemcpyKind : int {
  kHostToHost = 0,
  kHostToDevice = 1,
  kDeviceToHost = 2,
  kDeviceToDevice = 3,
  kMemcpyDefault = 4,
};

// aclrtMemAttr: which kind of memory aclrtGetMemInfo and aclrtMallocPhysical speak of.
enum MemAttr : int { kMemHbm = 1, kMemHbmHuge = 4, kMemHbmNormal = 5, kMemHbmHuge1G = 10 };
enum MemLocation : int { kLocationHost = 0, kLocationDevice = 1, kLocationUnregistered = 2 };
enum MemGranularity : int { kGranularityMinimum = 0, kGranularityRecommended = 1 };

struct MemLocationId {
  uint32_t id;
  uint32_t type;
};

struct PhysicalMemProp {
  uint32_t handle_type;      // 0: none, the only one supported
  uint32_t allocation_type;  // 0: pinned, the only one supported
  uint32_t mem_attr;
  MemLocationId location;
  uint64_t reserve;
};
static_assert(sizeof(PhysicalMemProp) == 32 && offsetof(PhysicalMemProp, location) == 12);

struct PtrAttributes {
  MemLocationId location;
  uint32_t page_size;
  uint32_t reserve[4];
};
static_assert(sizeof(PtrAttributes) == 28);

// aclrtDevAttr
enum DevAttr : uint32_t {
  kDevAicpuCores = 1,
  kDevAicoreCores = 101,
  kDevCubeCores = 102,
  kDevVectorCores = 201,
  kDevUbufPerVectorCore = 204,
  kDevTotalGlobalMem = 301,
  kDevL2Size = 302,
  kDevIsVirtual = 501,
};

// aclDeviceInfo of aclGetDeviceCapability
enum DeviceInfo : int { kInfoAiCores = 0, kInfoVectorCores = 1, kInfoL2Size = 2 };

enum ResLimit : int { kResCube = 0, kResVector = 1 };

// Keys of aclrtIpcMemGetExportKey end in a null character.
constexpr size_t kIpcKeyBytes = 65;
enum IpcFlag : uint64_t { kIpcExportForAll = 1, kIpcImportFromPeers = 1 };

struct IpcEventHandle {
  char reserved[64];
};

constexpr size_t kVersionMax = 128;
constexpr size_t kVersionPartMax = 64;

struct PackageVersion {
  char version[kVersionMax];
  char major_version[kVersionPartMax];
  char minor_version[kVersionPartMax];
  char release_version[kVersionPartMax];
  char patch_version[kVersionPartMax];
  char reserved[kVersionMax];
};
static_assert(sizeof(PackageVersion) == 512);

enum PackageName : int { kPackageCann = 0, kPackageOppKernel = 6, kPackageDriver = 7 };

}  // namespace ascend_sim::abi
