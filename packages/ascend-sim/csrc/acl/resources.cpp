// SPDX-License-Identifier: Apache-2.0
#include "acl/resources.h"

#include "acl/error.h"

namespace ascend_sim {

bool Quota::TryTake(int64_t amount) {
  const std::lock_guard lock(mutex_);
  if (amount > limit_ - used_) return false;
  used_ += amount;
  return true;
}

void Quota::Take(int64_t amount) {
  if (TryTake(amount)) return;
  Raise(code_, std::string("no ") + noun_ + " left: " + std::to_string(amount) + " wanted, " +
                   std::to_string(Available()) + " of " + std::to_string(limit_) + " free");
}

void Quota::Give(int64_t amount) {
  const std::lock_guard lock(mutex_);
  used_ -= amount;
}

int64_t Quota::Available() const {
  const std::lock_guard lock(mutex_);
  return limit_ - used_;
}

Ledger::Ledger(int64_t stream_limit, int64_t event_limit, int64_t hbm_bytes)
    : stream_ids("stream ids", kNoStream, 32768),
      queues("streams", kResourceAlloc, stream_limit),
      events("events", kNoEvent, event_limit),
      notifies("notifies", kNoNotify, 8192),
      models("model ids", kNoModel, 32768),
      hbm("bytes of device memory", kMemoryAllocation, hbm_bytes) {}

}  // namespace ascend_sim
