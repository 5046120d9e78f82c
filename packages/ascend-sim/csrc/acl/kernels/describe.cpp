// SPDX-License-Identifier: Apache-2.0
//
// A function that CANN does not have, for `ascend-sim coverage --kernels`.
#include <cstdint>
#include <string>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/kernels/body.h"
#include "acl/kernels/device_elf.h"

using namespace ascend_sim;

// A line for each kernel of a device binary: its name, its key or -, the size of its argument block
// or -, and the size that its body takes or -. Null when the binary cannot be read. The text is
// valid until the thread's next call.
ASCEND_SIM_ABI const char* ascendSimDescribeKernels(const void* elf, uint64_t bytes) {
  thread_local std::string text;
  const auto number = [](const auto& value) { return value ? std::to_string(*value) : "-"; };
  const int code = Abi("ascendSimDescribeKernels", [&] {
    RequirePtr(elf, "elf");
    text.clear();
    if (!WhyNoBodies().empty()) Raise(kInternal, "the bodies cannot be loaded: " + WhyNoBodies());
    for (const DeviceKernel& kernel : ReadKernels({static_cast<const std::byte*>(elf), bytes})) {
      const auto body = FindBody(kernel.name);
      const size_t signal = kernel.mixed ? kSignalBytes : 0;
      text += kernel.name + " " + number(kernel.key) + " " + number(kernel.block_bytes) + " " +
              (body ? std::to_string(signal + body->bytes) : "-") + "\n";
    }
  });
  return code == kSuccess ? text.c_str() : nullptr;
}
