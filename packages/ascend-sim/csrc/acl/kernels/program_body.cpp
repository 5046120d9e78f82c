// SPDX-License-Identifier: Apache-2.0
//
// Functions that CANN does not have, for bodies in another language: ascend_sim.kernel of Python.
#include <array>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/kernels/body.h"

namespace ascend_sim {
namespace {

// Gets the arguments, each in the first bytes of 8, and the number of blocks; returns 0, or leaves
// the text of a failure in the buffer.
using Function = int (*)(const uint64_t* arguments, uint32_t blocks, char* why, uint64_t room);

// Functions cannot be called once their language has ended.
struct Language {
  std::shared_mutex mutex;  // a call holds it shared
  bool ended = false;
};

Language& TheLanguage() {
  static auto* const language = new Language;
  return *language;
}

// The kernel that a function computes on this thread.
thread_local const char* t_kernel = nullptr;

void CallFunction(Function function, const char* name, const std::vector<uint64_t>& arguments,
                  uint32_t blocks) {
  Language& language = TheLanguage();
  const std::shared_lock lock(language.mutex);
  if (language.ended) throw std::runtime_error("the program that has its body is ending");
  std::array<char, 1024> why{};
  t_kernel = name;
  const int failed = function(arguments.data(), blocks, why.data(), why.size());
  t_kernel = nullptr;
  if (failed != 0) throw std::runtime_error(why.data());
}

KernelBody BodyOf(Function function, std::vector<uint8_t> sizes) {
  KernelLayout layout;
  for (const uint8_t size : sizes) layout.Add(size);
  return {layout.Bytes(), [=](KernelLaunch& launch, const std::byte* block) -> KernelRun {
            launch.WaitsForHost();
            std::vector<uint64_t> arguments(sizes.size());
            KernelLayout places;
            for (size_t i = 0; i < sizes.size(); ++i)
              std::memcpy(&arguments[i], block + places.Add(sizes[i]), sizes[i]);
            return [=, name = launch.Name(), blocks = launch.Blocks()] {
              CallFunction(function, name, arguments, blocks);
            };
          }};
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

// Makes `function` the body of the kernels called `name`, whose `count` arguments have these sizes.
ASCEND_SIM_ABI aclError ascendSimSetKernel(const char* name, const uint8_t* sizes, uint64_t count,
                                           Function function) {
  return Abi("ascendSimSetKernel", [&] {
    RequirePtr(name, "name");
    RequirePtr(reinterpret_cast<const void*>(function), "function");
    for (uint64_t i = 0; i < count; ++i) {
      const uint8_t size = sizes[i];
      Require(size == 1 || size == 2 || size == 4 || size == 8, kInvalidParam,
              "an argument has 1, 2, 4 or 8 bytes");
    }
    SetBodyOfProgram(name, BodyOf(function, {sizes, sizes + count}));
  });
}

// Of a function that is called: it is about to read or write this memory.
ASCEND_SIM_ABI aclError ascendSimKernelTouches(const void* begin, uint64_t bytes, bool write) {
  return Abi("ascendSimKernelTouches", [&] {
    Require(t_kernel != nullptr, kInvalidParam, "no body of a kernel runs on this thread");
    NoteTouches(t_kernel, {{begin, bytes, write}});
  });
}

// No function is called any more; returns when none is running.
ASCEND_SIM_ABI void ascendSimEndKernels() {
  Language& language = TheLanguage();
  const std::unique_lock lock(language.mutex);
  language.ended = true;
}
