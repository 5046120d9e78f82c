// SPDX-License-Identifier: Apache-2.0
//
// The newer way to kernels: binaries and functions of libascendcl, as host stubs of CANN 9 and
// Triton's launcher call them.
#include <cstdint>
#include <memory>
#include <string>

#include "abi/kernel.h"
#include "acl/base/error.h"
#include "acl/kernels/binary.h"
#include "acl/kernels/signals.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

// When a binary is loaded and for which cores makes no difference here.
void CheckOptions(const abi::BinaryLoadOptions* options) {
  if (options == nullptr) return;
  for (size_t i = 0; i < options->number; ++i) {
    const int32_t type = options->options[i].type;
    Require(type != abi::kCpuKernelMode, kNotSupported,
            "kernels of the device's CPU (AICPU) are not simulated");
    if (type != abi::kLazyLoad && type != abi::kBinaryMagic) {
      Raise(kRtParamInvalid, "the option " + std::to_string(type) +
                                 " of a binary does not exist: 1 (lazy load), 2 (magic) and 3 (CPU "
                                 "kernel mode) do");
    }
  }
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtBinaryLoadFromData(const void* data, size_t bytes,
                                                const abi::BinaryLoadOptions* options,
                                                aclrtBinHandle* binary) {
  return Abi("aclrtBinaryLoadFromData", [&] {
    RequirePtr(data, "data");
    RequirePtr(binary, "binHandle");
    CheckOptions(options);
    *binary = Binary::Register({static_cast<const std::byte*>(data), bytes});
  });
}

ASCEND_SIM_ABI aclError aclrtBinaryUnLoad(aclrtBinHandle binary) {
  return Abi("aclrtBinaryUnLoad", [&] { Binary::Unregister(binary); });
}

ASCEND_SIM_ABI aclError aclrtBinaryGetFunction(aclrtBinHandle binary, const char* name,
                                               aclrtFuncHandle* function) {
  return Abi("aclrtBinaryGetFunction", [&] {
    RequirePtr(name, "kernelName");
    RequirePtr(function, "funcHandle");
    *function = Binaries().Get(binary)->Function(std::string(name));
  });
}

ASCEND_SIM_ABI aclError aclrtBinaryGetFunctionByEntry(aclrtBinHandle binary, uint64_t key,
                                                      aclrtFuncHandle* function) {
  return Abi("aclrtBinaryGetFunctionByEntry", [&] {
    RequirePtr(function, "funcHandle");
    *function = Binaries().Get(binary)->Function(key);
  });
}

// The configuration is about scheduling and time limits, of which a body knows nothing.
ASCEND_SIM_ABI aclError aclrtLaunchKernelWithHostArgs(aclrtFuncHandle function, uint32_t blocks,
                                                      aclrtStream stream, const void*,
                                                      const void* block, size_t bytes, const void*,
                                                      size_t placeholders) {
  return Abi("aclrtLaunchKernelWithHostArgs", [&] {
    const auto kernel = Functions().Get(function);
    RequirePtr(block, "hostArgs");
    Require(placeholders == 0, kNotSupported,
            "place holders, for data behind the arguments, are not simulated");
    LaunchKernel(*kernel, blocks, {static_cast<const std::byte*>(block), bytes},
                 *StreamArg(stream));
  });
}

ASCEND_SIM_ABI aclError aclrtGetHardwareSyncAddr(void** address) {
  return Abi("aclrtGetHardwareSyncAddr", [&] {
    RequirePtr(address, "addr");
    *address = SignalWords().data();
  });
}
