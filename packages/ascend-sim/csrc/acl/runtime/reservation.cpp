// SPDX-License-Identifier: Apache-2.0
#include "ascend_sim/reservation.h"

#include "acl/base/error.h"
#include "acl/machine/quota.h"
#include "acl/runtime/device.h"

namespace ascend_sim {

struct Reservation::Held {
  Held(DeviceQuotas& quotas, int streams, int notify_number)
      : stream_ids(quotas.stream_ids, streams),
        queues(quotas.queues, streams),
        notifies(quotas.notifies, notify_number) {}

  Claim stream_ids;
  Claim queues;
  Claim notifies;
};

Reservation::Reservation() noexcept = default;
Reservation::~Reservation() = default;
Reservation::Reservation(Reservation&&) noexcept = default;
Reservation& Reservation::operator=(Reservation&&) noexcept = default;

int Reservation::Take(const char* call, int device, int streams, int notifies) noexcept {
  return Abi(call, [&] {
    Release();
    Require(streams >= 0 && notifies >= 0, kRtParamInvalid, "a negative number of resources");
    held_ = std::make_unique<Held>(DeviceAt(device).Resources(), streams, notifies);
  });
}

void Reservation::Release() noexcept { held_.reset(); }

}  // namespace ascend_sim
