// SPDX-License-Identifier: Apache-2.0
//
// Own declarations of what crosses the C boundary of libascendcl for programs that bring kernels of
// their own: their binaries and the notifies between streams. As in acl.h, values and layouts are
// facts of the ABI.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/acl.h"

using aclrtNotify = void*;
using aclrtBinHandle = void*;
using aclrtFuncHandle = void*;

namespace ascend_sim::abi {

enum NotifyFlag : uint64_t { kNotifyDefault = 0, kNotifyDeviceUseOnly = 1 };

// How a binary is loaded. The value is a number, in the first 4 bytes.
enum BinaryLoadOptionType : int32_t { kLazyLoad = 1, kBinaryMagic = 2, kCpuKernelMode = 3 };
struct BinaryLoadOption {
  int32_t type;
  uint32_t value[4];
};
struct BinaryLoadOptions {
  const BinaryLoadOption* options;
  size_t number;
};

// Of rtRegisterAllKernel.
struct DeviceBinary {
  uint32_t magic;  // which cores its kernels are for
  uint32_t version;
  const void* data;
  uint64_t bytes;
};
static_assert(sizeof(DeviceBinary) == 24);

// Of rtKernelLaunchWithHandle.
struct LaunchArguments {
  const void* block;  // of the caller's stack: valid during the call
  const void* host_inputs;
  uint32_t bytes;
  uint32_t reserved[5];
};
static_assert(sizeof(LaunchArguments) == 40);

}  // namespace ascend_sim::abi
