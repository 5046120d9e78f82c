// SPDX-License-Identifier: Apache-2.0
//
// The seam between libascendcl, which launches kernels of programs built with Ascend C, and the
// libraries that have their bodies. A device runs machine code out of the program's binary; here a
// function with the kernel's name computes the same on the CPU. It is declared once, with the types
// of the kernel's arguments, from which the layout of the argument block follows:
//
//   KernelRun Add(KernelLaunch& launch, const float* x, const float* y, float* z, uint32_t count) {
//     launch.Limit(count % 8 == 0, "count must be a multiple of 8");
//     launch.Reads(x, count);
//     launch.Reads(y, count);
//     launch.Writes(z, count);
//     return [=] {
//       for (uint32_t i = 0; i < count; ++i) z[i] = x[i] + y[i];
//     };
//   }
//   ASCEND_SIM_KERNEL(add_float, Add);
//
// The function runs once, on the thread that launches: it checks its arguments, says what memory
// the kernel touches, and returns what the stream runs, once or at every replay of a graph. It must
// not read device memory, which other work of the stream has yet to write. What is returned owns
// all it needs except device memory; it may throw, as the `run` of any task (launch.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "ascend_sim/launch.h"

namespace ascend_sim {

// What the stream runs.
using KernelRun = std::function<void()>;

// One launch, as its body sees it. Lives for the call; one thread.
class ASCEND_SIM_EXPORT KernelLaunch {
 public:
  // `name` has static storage.
  KernelLaunch(const char* name, uint32_t blocks) : name_(name), blocks_(blocks) {}

  const char* Name() const { return name_; }
  uint32_t Blocks() const { return blocks_; }  // of the device; a CPU needs none

  // The kernel reads, or may write, `count` elements from `begin`. Null is an argument left out.
  // The stream fails when it comes to the kernel and the device cannot reach all of them.
  template <class T>
  void Reads(const T* begin, size_t count) {
    AddTouch(begin, count * sizeof(T), false);
  }
  template <class T>
  void Writes(T* begin, size_t count) {
    AddTouch(begin, count * sizeof(T), true);
  }

  // What is returned waits: for other processes, where it must call ThrowIfCancelled (blocking.h),
  // or for a lock of this one. Other streams run meanwhile.
  enum class Waits { kForNothing, kForPeers, kForHost };
  void WaitsForPeers() { waits_ = Waits::kForPeers; }
  void WaitsForHost() { waits_ = Waits::kForHost; }

  // Refuses the launch unless `holds`: the stream fails with `why`, and goes on after it was told.
  void Require(bool holds, const char* why) const {
    if (!holds) [[unlikely]]
      throw Refusal(why);
  }
  // Likewise for what a device cannot do and this body could: `--limits off` lifts it.
  void Limit(bool holds, const char* why) const {
    if (!holds && DeviceLimits()) [[unlikely]]
      throw Refusal(std::string(why) + " (a limit of the device; `--limits off` lifts it)");
  }

  // For the registry.
  Waits WhatFor() const { return waits_; }
  Touches TakeTouches() { return std::move(touches_); }

 private:
  void AddTouch(const void* begin, size_t bytes, bool write) {
    if (begin != nullptr && bytes != 0) touches_.push_back({begin, bytes, write});
  }

  const char* const name_;
  const uint32_t blocks_;
  Touches touches_;
  Waits waits_ = Waits::kForNothing;
};

// For memory that only the run knows, such as the blocks that a table in device memory names: to be
// called by the run before it touches them, with the kernel's name. Throws std::runtime_error when
// the device cannot reach them.
ASCEND_SIM_EXPORT void NoteTouches(const char* name, Touches touches);

// Where arguments lie in the block, as the host stubs of Ascend C pack them: each at its natural
// alignment but at least 4, the whole rounded up to 8, and 8 bytes more, for the device to report
// an overflow. Source: the 127 kernels of xlite 0.2.0rc4, whose binaries say how large each block
// is. A kernel that uses both kinds of cores has 8 bytes in front, an address for their signals,
// which is not part of the layout.
class KernelLayout {
 public:
  // Adds an argument; returns where it is.
  constexpr size_t Add(size_t bytes) {
    const size_t align = bytes < 4 ? 4 : bytes;
    const size_t at = (end_ + align - 1) / align * align;
    end_ = at + bytes;
    return at;
  }
  // Of the block with all arguments added.
  constexpr size_t Bytes() const { return (end_ + 7) / 8 * 8 + 8; }

 private:
  size_t end_ = 0;
};

// The function behind a name. `plan` gets the first argument's address, of which `bytes` bytes are
// there during the call; it throws to refuse.
struct KernelBody {
  size_t bytes = 0;  // KernelLayout::Bytes
  std::function<KernelRun(KernelLaunch& launch, const std::byte* arguments)> plan;
};

// Makes `body` the body of all kernels called `name`, whichever binary they are in, unless there is
// one: the program's own bodies go before those of libraries. Safe from any thread, and while a
// library is loaded. Returns true.
ASCEND_SIM_EXPORT bool RegisterKernel(const char* name, KernelBody body);

template <auto kPlan>
struct KernelPlan;

template <class... Args, KernelRun (*kPlan)(KernelLaunch&, Args...)>
struct KernelPlan<kPlan> {
  static_assert(((std::is_arithmetic_v<Args> || std::is_pointer_v<Args>) && ...),
                "arguments of kernels are numbers, booleans and addresses");

  static constexpr size_t kBytes = [] {
    KernelLayout layout;
    (layout.Add(sizeof(Args)), ...);
    return layout.Bytes();
  }();

  static KernelRun Run(KernelLaunch& launch, const std::byte* arguments) {
    KernelLayout layout;
    // Braces evaluate in order.
    const std::tuple<Args...> values{Read<Args>(arguments + layout.Add(sizeof(Args)))...};
    return std::apply([&](Args... each) { return kPlan(launch, each...); }, values);
  }

 private:
  template <class T>
  static T Read(const std::byte* at) {
    if constexpr (std::is_same_v<T, bool>) {
      return *at != std::byte{0};
    } else {
      T value;
      std::memcpy(&value, at, sizeof value);
      return value;
    }
  }
};

}  // namespace ascend_sim

// Declares a body, at namespace scope: the kernel's name, then the function.
#define ASCEND_SIM_KERNEL(name, ...)                                                 \
  [[maybe_unused]] static const bool name##_has_body = ::ascend_sim::RegisterKernel( \
      #name,                                                                         \
      {::ascend_sim::KernelPlan<__VA_ARGS__>::kBytes, ::ascend_sim::KernelPlan<__VA_ARGS__>::Run})
