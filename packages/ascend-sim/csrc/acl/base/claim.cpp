// SPDX-License-Identifier: Apache-2.0
#include "ascend_sim/claim.h"

#include "acl/base/error.h"
#include "acl/base/resources.h"
#include "acl/runtime/device.h"

namespace ascend_sim {

struct DeviceClaim::Held {
  Held(Ledger& ledger, int streams, int notify_number)
      : stream_ids(ledger.stream_ids, streams),
        queues(ledger.queues, streams),
        notifies(ledger.notifies, notify_number) {}

  Claim stream_ids;
  Claim queues;
  Claim notifies;
};

DeviceClaim::DeviceClaim() noexcept = default;
DeviceClaim::~DeviceClaim() = default;
DeviceClaim::DeviceClaim(DeviceClaim&&) noexcept = default;
DeviceClaim& DeviceClaim::operator=(DeviceClaim&&) noexcept = default;

int DeviceClaim::Take(const char* call, int device, int streams, int notifies) noexcept {
  return Abi(call, [&] {
    Release();
    Require(streams >= 0 && notifies >= 0, kRtParamInvalid, "a negative number of resources");
    held_ = std::make_unique<Held>(DeviceAt(device).Resources(), streams, notifies);
  });
}

void DeviceClaim::Release() noexcept { held_.reset(); }

}  // namespace ascend_sim
