// SPDX-License-Identifier: Apache-2.0
#include "acl/task/wait_limit.h"

#include <atomic>

#include "abi/acl.h"

namespace ascend_sim {
namespace {

std::atomic<uint32_t>& Seconds() {
  static std::atomic<uint32_t> seconds{0};
  return seconds;
}

}  // namespace

WaitLimit WaitLimit::Current() { return WaitLimit(Seconds().load(std::memory_order_relaxed)); }

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtSetOpWaitTimeout(uint32_t seconds) {
  return Abi("aclrtSetOpWaitTimeout", [&] { Seconds().store(seconds, std::memory_order_relaxed); });
}
