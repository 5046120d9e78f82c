// SPDX-License-Identifier: Apache-2.0
//
// Own declarations of what crosses the C boundary of libhccl. Names, numeric values and layouts are
// facts of the ABI; nothing here comes from CANN's headers.
#pragma once

#include <cstddef>
#include <cstdint>

using HcclComm = void*;  // an opaque token, as all handles (see acl/base/handle.h)

namespace ascend_sim::abi {

// clang-format off
#define ASCEND_SIM_HCCL_RESULTS(X) \
  X(0, kHcclSuccess, "HCCL_SUCCESS") \
  X(1, kHcclPara, "HCCL_E_PARA") \
  X(2, kHcclPtr, "HCCL_E_PTR") \
  X(3, kHcclMemory, "HCCL_E_MEMORY") \
  X(4, kHcclInternal, "HCCL_E_INTERNAL") \
  X(5, kHcclNotSupport, "HCCL_E_NOT_SUPPORT") \
  X(6, kHcclNotFound, "HCCL_E_NOT_FOUND") \
  X(7, kHcclUnavail, "HCCL_E_UNAVAIL") \
  X(8, kHcclSyscall, "HCCL_E_SYSCALL") \
  X(9, kHcclTimeout, "HCCL_E_TIMEOUT") \
  X(10, kHcclOpenFile, "HCCL_E_OPEN_FILE_FAILURE") \
  X(11, kHcclTcpConnect, "HCCL_E_TCP_CONNECT") \
  X(15, kHcclRuntime, "HCCL_E_RUNTIME") \
  X(21, kHcclRemote, "HCCL_E_REMOTE") \
  X(22, kHcclSuspending, "HCCL_E_SUSPENDING") \
  X(24, kHcclOom, "HCCL_E_OOM")
// clang-format on

#define ASCEND_SIM_HCCL_ENUM(number, name, text) name = number,
enum HcclResult : int { ASCEND_SIM_HCCL_RESULTS(ASCEND_SIM_HCCL_ENUM) };
#undef ASCEND_SIM_HCCL_ENUM

enum HcclReduceOp : int { kReduceSum = 0, kReduceProd = 1, kReduceMax = 2, kReduceMin = 3 };

enum HcclDataType : int {
  kInt8 = 0,
  kInt16 = 1,
  kInt32 = 2,
  kFp16 = 3,
  kFp32 = 4,
  kInt64 = 5,
  kUint64 = 6,
  kUint8 = 7,
  kUint16 = 8,
  kUint32 = 9,
  kFp64 = 10,
  kBfp16 = 11,
  kInt128 = 12,
  kHif8 = 14,
  kFp8E4M3 = 15,
  kFp8E5M2 = 16,
  kFp8E8M0 = 17,
};

enum HcclSetting : int { kHcclDeterministic = 0 };

union HcclSettingValue {
  int32_t value;
};

struct HcclRootInfo {
  char internal[4108];
};

// The fields of a communicator's configuration up to the last one that is looked at. `size` says
// how many bytes the caller's version of the structure has.
struct HcclCommConfig {
  uint64_t size;
  uint32_t magic;
  uint32_t version;
  uint64_t reserved;
  uint32_t buffer_size;  // MB
  uint32_t deterministic;
  char name[128];
  char udi[128];
  uint32_t op_expansion_mode;
  uint32_t traffic_class;
  uint32_t service_level;
  uint32_t world_rank;
  uint64_t job;
  uint8_t graph_zero_copy;
  int32_t exec_timeout;  // seconds
};
static_assert(offsetof(HcclCommConfig, name) == 32);
static_assert(offsetof(HcclCommConfig, exec_timeout) == 316);

inline constexpr uint32_t kHcclConfigMagic = 0xf0f0f0f0;
inline constexpr uint32_t kHcclConfigNotSet = 0xffffffff;
inline constexpr size_t kHcclNameBytes = 128;  // with the terminating zero

enum HcclSendRecvType : int { kHcclSend = 0, kHcclRecv = 1 };

struct HcclSendRecvItem {
  HcclSendRecvType kind;
  void* buffer;
  uint64_t count;
  HcclDataType type;
  uint32_t peer;
};

}  // namespace ascend_sim::abi
