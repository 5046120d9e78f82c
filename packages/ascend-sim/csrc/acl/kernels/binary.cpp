// SPDX-License-Identifier: Apache-2.0
#include "acl/kernels/binary.h"

#include <exception>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "acl/base/error.h"
#include "acl/kernels/body.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

// A copy of `name` that lives for ever.
const char* Intern(const std::string& name) {
  static auto* const mutex = new std::mutex;
  static auto* const names = new std::set<std::string>;
  const std::lock_guard lock(*mutex);
  return names->insert(name).first->c_str();
}

// The address that stands in front of the arguments of mixed kernels.
constexpr size_t kSignalBytes = 8;

[[noreturn]] void RaiseSize(const char* kernel, size_t block, const std::string& expected) {
  Raise(kAicoreException, std::string("the argument block of ") + kernel + " has " +
                              std::to_string(block) + " bytes, " + expected +
                              ": the kernel and its caller are not of one version");
}

Task MakeTask(const Kernel& kernel, const KernelBody& body, uint32_t blocks,
              std::span<const std::byte> block) {
  const size_t signal = kernel.mixed ? kSignalBytes : 0;
  if (block.size() != signal + body.bytes) {
    RaiseSize(kernel.name, block.size(),
              "the body here takes " + std::to_string(signal + body.bytes));
  }
  KernelLaunch launch(kernel.name, blocks);
  Task task{kernel.name, TaskKind::kKernel, body.plan(launch, block.data() + signal)};
  if (launch.Waits()) {
    task.kind = TaskKind::kCommunication;
    task.waits = true;
  }
  if (Touches touches = launch.TakeTouches(); !touches.empty())
    task.touches = std::make_shared<const Touches>(std::move(touches));
  return task;
}

// Skipped like any kernel where nothing is computed: no body is needed there.
Task WithoutBody(const char* name) {
  std::string why = std::string("ascend-sim has no body for the kernel ") + name +
                    ": write one with @ascend_sim.kernel(\"" + name +
                    "\"), or see `ascend-sim coverage --kernels FILE.so` for those it has";
  if (const std::string& missing = WhyNoBodies(); !missing.empty())
    why += "; its library of bodies could not be loaded: " + missing;
  return {name, TaskKind::kKernel, [why] { Raise(kAicoreException, why); }};
}

Task TaskOf(const Kernel& kernel, uint32_t blocks, std::span<const std::byte> block) {
  try {
    if (kernel.block_bytes && block.size() != *kernel.block_bytes) {
      RaiseSize(kernel.name, block.size(),
                "its binary says " + std::to_string(*kernel.block_bytes));
    }
    if (const auto body = FindBody(kernel.name)) return MakeTask(kernel, *body, blocks, block);
    return WithoutBody(kernel.name);
  } catch (...) {
    // Not of the kind of kernels: also where nothing is computed, the launch is wrong.
    return {kernel.name, TaskKind::kHostFunc,
            [error = std::current_exception()] { std::rethrow_exception(error); }};
  }
}

}  // namespace

Binary::Binary(std::span<const std::byte> elf) {
  for (const DeviceKernel& kernel : ReadKernels(elf)) {
    kernels_.emplace(kernel.key, Kernel{Intern(kernel.name), kernel.mixed, kernel.block_bytes});
  }
}

const Kernel& Binary::Find(uint64_t key) const {
  const auto found = kernels_.find(key);
  if (found == kernels_.end()) {
    Raise(kRtParamInvalid, "the binary has no kernel with the key " + std::to_string(key));
  }
  return found->second;
}

const Kernel& Binary::Find(const char* name) const {
  for (const auto& [key, kernel] : kernels_) {
    if (std::string_view(kernel.name) == name) return kernel;
  }
  Raise(kRtParamInvalid, std::string("the binary has no kernel called ") + name);
}

Handles<Binary>& Binaries() {
  static auto* const binaries = new Handles<Binary>("binary", 20);
  return *binaries;
}

void LaunchKernel(const Kernel& kernel, uint32_t blocks, std::span<const std::byte> block,
                  Stream& stream) {
  Task task = TaskOf(kernel, blocks, block);
  const bool may_block = task.waits;
  stream.Launch(std::move(task), may_block);
}

}  // namespace ascend_sim
