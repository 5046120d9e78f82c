// SPDX-License-Identifier: Apache-2.0
#include "acl/resources.h"

#include <algorithm>

#include "acl/config.h"
#include "acl/error.h"
#include "acl/soc.h"

namespace ascend_sim {
namespace {

// The driver's; not documented.
constexpr int64_t kModelIds = 32768;

}  // namespace

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

int64_t Quota::TakeUpTo(int64_t amount) {
  const std::lock_guard lock(mutex_);
  const int64_t taken = std::clamp<int64_t>(limit_ - used_, 0, amount);
  used_ += taken;
  return taken;
}

void Quota::Give(int64_t amount) {
  const std::lock_guard lock(mutex_);
  used_ -= amount;
}

int64_t Quota::Available() const {
  const std::lock_guard lock(mutex_);
  return limit_ - used_;
}

Ledger::Ledger()
    : stream_ids("stream ids", kNoStream, ThisSoc().family->stream_ids),
      queues("streams", kResourceAlloc, GetConfig().streams),
      events("events", kNoEvent, GetConfig().events),
      notifies("notifies", kNoNotify, ThisSoc().family->notifies),
      models("model ids", kNoModel, kModelIds),
      hbm("bytes of device memory", kMemoryAllocation, GetConfig().hbm_bytes) {}

}  // namespace ascend_sim
