// SPDX-License-Identifier: Apache-2.0
//
// Value write and wait: words of device memory as flags between streams, graphs and (through
// copies) the host.
#include "acl/launch/value.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "acl/observe/order.h"
#include "acl/runtime/memory.h"
#include "acl/runtime/stream.h"
#include "acl/task/wait.h"

namespace ascend_sim {
namespace {

// Waiters of addresses with the same hash share a mutex and a condition variable.
struct Bucket {
  std::mutex mutex;
  std::condition_variable written;
};

Bucket& BucketOf(const uint64_t* word) {
  constexpr size_t kBuckets = 64;
  static auto* const buckets = new Bucket[kBuckets];
  return buckets[(reinterpret_cast<uintptr_t>(word) / sizeof *word) % kBuckets];
}

bool Holds(uint64_t actual, uint64_t wanted, uint32_t flag) {
  switch (flag) {
    case abi::kWaitGeq:
      return static_cast<int64_t>(actual - wanted) >= 0;
    case abi::kWaitEq:
      return actual == wanted;
    case abi::kWaitAnd:
      return (actual & wanted) != 0;
    default:
      return ~(actual | wanted) != 0;
  }
}

uint64_t* WordArg(void* address) {
  Require(ThisSoc().family->value_wait, kNotSupported,
          "this chip can neither write nor await a word of memory");
  RequirePtr(address, "devAddr");
  Require(reinterpret_cast<uintptr_t>(address) % sizeof(uint64_t) == 0, kRtParamInvalid,
          "the address is not aligned to 8 bytes");
  Require(Describe(address).kind == MemoryKind::kDevice, kRtParamInvalid,
          "the address is not device memory");
  return static_cast<uint64_t*>(address);
}

void Write(uint64_t* word, uint64_t value) {
  if (OrderObserver* order = OrderObserver::Get()) order->PublishAt(word);
  Bucket& bucket = BucketOf(word);
  {
    const std::lock_guard lock(bucket.mutex);
    std::atomic_ref(*word).store(value);
  }
  bucket.written.notify_all();
}

void Wait(uint64_t* word, uint64_t value, uint32_t flag) {
  // Copies, fills and kernels change words without a notification: look again now and then.
  constexpr auto kPoll = std::chrono::microseconds(500);
  const auto ready = [=] { return Holds(std::atomic_ref(*word).load(), value, flag); };
  if (!SpinUntil(ready)) {
    Bucket& bucket = BucketOf(word);
    std::unique_lock lock(bucket.mutex);
    WaitUntil(lock, bucket.written, std::nullopt, ready, kPoll);
  }
  if (OrderObserver* order = OrderObserver::Get()) order->LearnAt(word);
}

void CheckWaitFlag(uint32_t flag) {
  Require(flag <= abi::kWaitNor, kRtParamInvalid,
          "the flag of a value wait must be 0 (>=), 1 (==), 2 (and) or 3 (nor)");
}

}  // namespace

std::function<void()> ValueWork(TaskKind kind, const ValueDetail& detail) {
  uint64_t* const word = WordArg(detail.word);
  const auto [ignored, value, flag] = detail;
  if (kind == TaskKind::kValueWrite) return [word, value = value] { Write(word, value); };
  CheckWaitFlag(flag);
  return [word, value = value, flag = flag] { Wait(word, value, flag); };
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtValueWrite(void* address, uint64_t value, uint32_t flag,
                                        aclrtStream stream) {
  return Abi("aclrtValueWrite", [&] {
    uint64_t* word = WordArg(address);
    Require(flag == 0, kRtParamInvalid, "the flag of a value write must be 0");
    StreamArg(stream)->Launch(
        {"aclrtValueWrite", TaskKind::kValueWrite, [=] { Write(word, value); }},
        /*may_block=*/false, ValueDetail{word, value, flag});
  });
}

ASCEND_SIM_ABI aclError aclrtValueWait(void* address, uint64_t value, uint32_t flag,
                                       aclrtStream stream) {
  return Abi("aclrtValueWait", [&] {
    uint64_t* word = WordArg(address);
    CheckWaitFlag(flag);
    StreamArg(stream)->Launch(
        {"aclrtValueWait", TaskKind::kValueWait, [=] { Wait(word, value, flag); }},
        /*may_block=*/true, ValueDetail{word, value, flag});
  });
}
