// SPDX-License-Identifier: Apache-2.0
#include "acl/machine/quota.h"

#include "acl/base/error.h"
#include "acl/machine/ledger.h"

namespace ascend_sim {
namespace {

// What a call returns when a resource has run out, and what it calls it.
struct Exhaustion {
  int code;
  const char* noun;
};
constexpr Exhaustion kExhaustions[kResources] = {
    {kResourceAlloc, "streams"}, {kNoStream, "stream ids"},
    {kNoEvent, "events"},        {kNoNotify, "notifies"},
    {kNoModel, "model ids"},     {kMemoryAllocation, "bytes of device memory"},
};

}  // namespace

void Quota::Take(int64_t amount) {
  if (TryTake(amount)) return;
  const Exhaustion& exhaustion = kExhaustions[static_cast<size_t>(resource_)];
  Raise(exhaustion.code, std::string("no ") + exhaustion.noun + " left: " + std::to_string(amount) +
                             " wanted, " + std::to_string(Available()) + " of " +
                             std::to_string(Limit()) + " free" +
                             TheLedger().OthersText(device_, resource_));
}

bool Quota::TryTake(int64_t amount) { return TheLedger().Take(device_, resource_, amount); }

int64_t Quota::TakeUpTo(int64_t amount) { return TheLedger().TakeUpTo(device_, resource_, amount); }

void Quota::Give(int64_t amount) { TheLedger().Give(device_, resource_, amount); }

int64_t Quota::Available() const { return TheLedger().Available(device_, resource_); }

int64_t Quota::Limit() const { return TheLedger().Limit(resource_); }

DeviceQuotas::DeviceQuotas(int device)
    : stream_ids(device, Resource::kStreamIds),
      queues(device, Resource::kStreams),
      events(device, Resource::kEvents),
      notifies(device, Resource::kNotifies),
      models(device, Resource::kModels),
      hbm(device, Resource::kHbmBytes) {}

}  // namespace ascend_sim
