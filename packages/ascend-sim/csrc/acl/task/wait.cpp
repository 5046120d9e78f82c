// SPDX-License-Identifier: Apache-2.0
#include "acl/task/wait.h"

#include "acl/base/error.h"

namespace ascend_sim {

Deadline DeadlineFrom(int64_t timeout_ms) {
  if (timeout_ms == -1) return std::nullopt;
  if (timeout_ms <= 0) {
    Raise(kRtParamInvalid,
          "timeout " + std::to_string(timeout_ms) +
              " is not valid: use -1 to wait for ever or a number of milliseconds");
  }
  return Clock::now() + std::chrono::milliseconds(timeout_ms);
}

void ThrowIfCancelled() {
  const std::atomic<bool>* cancelled = CancelScope::Current();
  if (cancelled != nullptr && cancelled->load(std::memory_order_relaxed)) throw Cancelled{};
}

}  // namespace ascend_sim
