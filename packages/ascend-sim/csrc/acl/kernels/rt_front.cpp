// SPDX-License-Identifier: Apache-2.0
//
// The older way to kernels: what the host stubs call that Ascend C's compiler made for CANN 8. They
// register their binaries while they are loaded, before any device is set, and withdraw them at
// exit.
#include <cstdint>
#include <memory>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/kernels/binary.h"
#include "acl/runtime/stream.h"

using namespace ascend_sim;

namespace {

// Layouts are facts of the ABI.
struct DeviceBinary {
  uint32_t magic;  // which cores its kernels are for
  uint32_t version;
  const void* data;
  uint64_t bytes;
};
static_assert(sizeof(DeviceBinary) == 24);

struct LaunchArguments {
  const void* block;  // of the caller's stack: valid during the call
  const void* host_inputs;
  uint32_t bytes;
  uint32_t reserved[5];
};
static_assert(sizeof(LaunchArguments) == 40);

// What the kernels of both kinds of cores signal through. Bodies need no signals.
uint64_t signal_words[8];

}  // namespace

ASCEND_SIM_ABI int rtRegisterAllKernel(const DeviceBinary* binary, void** handle) {
  return Abi("rtRegisterAllKernel", [&] {
    RequirePtr(binary, "binary");
    RequirePtr(binary->data, "the data of the binary");
    RequirePtr(handle, "handle");
    auto made = std::make_shared<Binary>(
        std::span(static_cast<const std::byte*>(binary->data), binary->bytes));
    *handle = Binaries().Reserve();
    Binaries().Add(*handle, std::move(made));
  });
}

ASCEND_SIM_ABI int rtDevBinaryUnRegister(void* handle) {
  return Abi("rtDevBinaryUnRegister", [&] {
    Binaries().Get(handle);
    Binaries().Remove(handle);
  });
}

ASCEND_SIM_ABI int rtKernelLaunchWithHandle(void* handle, uint64_t key, uint32_t blocks,
                                            const LaunchArguments* arguments, const void*,
                                            aclrtStream stream, const void*) {
  return Abi("rtKernelLaunchWithHandle", [&] {
    const auto binary = Binaries().Get(handle);
    RequirePtr(arguments, "argsInfo");
    RequirePtr(arguments->block, "the argument block");
    LaunchKernel(binary->Find(key), blocks,
                 {static_cast<const std::byte*>(arguments->block), arguments->bytes},
                 *StreamArg(stream));
  });
}

ASCEND_SIM_ABI int rtGetC2cCtrlAddr(uint64_t* address, uint32_t* bytes) {
  return Abi("rtGetC2cCtrlAddr", [&] {
    RequirePtr(address, "addr");
    RequirePtr(bytes, "len");
    *address = reinterpret_cast<uint64_t>(signal_words);
    *bytes = sizeof signal_words;
  });
}
