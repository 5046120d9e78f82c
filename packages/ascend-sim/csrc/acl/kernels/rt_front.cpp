// SPDX-License-Identifier: Apache-2.0
//
// The older way to kernels: what the host stubs call that Ascend C's compiler made for CANN 8. They
// register their binaries while they are loaded, before any device is set, and withdraw them at
// exit.
#include <cstdint>

#include "abi/kernel.h"
#include "acl/base/error.h"
#include "acl/kernels/binary.h"
#include "acl/kernels/signals.h"
#include "acl/runtime/stream.h"

using namespace ascend_sim;

ASCEND_SIM_ABI int rtRegisterAllKernel(const abi::DeviceBinary* binary, void** handle) {
  return Abi("rtRegisterAllKernel", [&] {
    RequirePtr(binary, "binary");
    RequirePtr(binary->data, "the data of the binary");
    RequirePtr(handle, "handle");
    *handle = Binary::Register({static_cast<const std::byte*>(binary->data), binary->bytes});
  });
}

ASCEND_SIM_ABI int rtDevBinaryUnRegister(void* handle) {
  return Abi("rtDevBinaryUnRegister", [&] { Binary::Unregister(handle); });
}

ASCEND_SIM_ABI int rtKernelLaunchWithHandle(void* handle, uint64_t key, uint32_t blocks,
                                            const abi::LaunchArguments* arguments, const void*,
                                            aclrtStream stream, const void*) {
  return Abi("rtKernelLaunchWithHandle", [&] {
    const auto binary = Binaries().Get(handle);
    RequirePtr(arguments, "argsInfo");
    RequirePtr(arguments->block, "the argument block");
    LaunchKernel(*Functions().Get(binary->Function(key)), blocks,
                 {static_cast<const std::byte*>(arguments->block), arguments->bytes},
                 *StreamArg(stream));
  });
}

ASCEND_SIM_ABI int rtGetC2cCtrlAddr(uint64_t* address, uint32_t* bytes) {
  return Abi("rtGetC2cCtrlAddr", [&] {
    RequirePtr(address, "addr");
    RequirePtr(bytes, "len");
    *address = reinterpret_cast<uint64_t>(SignalWords().data());
    *bytes = sizeof SignalWords();
  });
}
