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
  KernelRun run = body.plan(launch, block.data() + signal);
  const auto touches = std::make_shared<const Touches>(launch.TakeTouches());
  using Waits = KernelLaunch::Waits;
  Task task{kernel.name,
            launch.WhatFor() == Waits::kForPeers ? TaskKind::kCommunication : TaskKind::kKernel,
            [name = kernel.name, touches, run = std::move(run)] {
              RequireReach(name, *touches);
              run();
            },
            TouchesWanted() ? touches : nullptr};
  task.waits = launch.WhatFor() != Waits::kForNothing;
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
    void* const handle = Functions().Reserve();
    Functions().Add(handle, std::make_shared<const Kernel>(Intern(kernel.name), kernel.mixed,
                                                           kernel.block_bytes));
    if (kernel.key) by_key_.emplace(*kernel.key, handle);
    by_name_.insert_or_assign(kernel.symbol, handle);
    by_name_.emplace(kernel.name, handle);
  }
}

Binary::~Binary() {
  for (const auto& [name, handle] : by_name_) Functions().Remove(handle);
}

void* Binary::Register(std::span<const std::byte> elf) {
  void* const handle = Binaries().Reserve();
  Binaries().Add(handle, std::shared_ptr<Binary>(new Binary(elf)));
  return handle;
}

void Binary::Unregister(void* handle) {
  Binaries().Get(handle);
  Binaries().Remove(handle);
}

void* Binary::Function(uint64_t key) const {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    Raise(kRtParamInvalid, "the binary has no kernel with the key " + std::to_string(key));
  }
  return found->second;
}

void* Binary::Function(const std::string& symbol_or_name) const {
  const auto found = by_name_.find(symbol_or_name);
  if (found == by_name_.end()) {
    Raise(kRtParamInvalid, "the binary has no kernel called " + symbol_or_name);
  }
  return found->second;
}

Handles<Binary>& Binaries() {
  static auto* const binaries = new Handles<Binary>("binary", 11);
  return *binaries;
}

Handles<const Kernel>& Functions() {
  static auto* const functions = new Handles<const Kernel>("function", 12);
  return *functions;
}

void LaunchKernel(const Kernel& kernel, uint32_t blocks, std::span<const std::byte> block,
                  Stream& stream) {
  Task task = TaskOf(kernel, blocks, block);
  const bool may_block = task.waits;
  stream.Launch(std::move(task), may_block);
}

}  // namespace ascend_sim
