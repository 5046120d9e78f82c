// SPDX-License-Identifier: Apache-2.0
//
// Quotas of the limited resources of a device. Every object that takes some holds a Claim
// and gives it back when it goes.
#pragma once

#include <cstdint>
#include <utility>

#include "acl/base/resource.h"

namespace ascend_sim {

// One resource of one device, as this process takes it: from what all processes of the machine
// share (ledger.h). Safe from any thread.
class Quota {
 public:
  Quota(int device, Resource resource) : device_(device), resource_(resource) {}

  // Takes `amount`, or throws Failure with the code for this exhausted resource.
  void Take(int64_t amount = 1);
  // Takes `amount` if there is enough.
  bool TryTake(int64_t amount = 1);
  // Takes as much of `amount` as is left; returns how much.
  int64_t TakeUpTo(int64_t amount);
  void Give(int64_t amount = 1);
  int64_t Available() const;
  int64_t Limit() const;

 private:
  const int device_;
  const Resource resource_;
};

// `amount` units taken from a quota that must outlive the claim.
class Claim {
 public:
  Claim() = default;
  explicit Claim(Quota& quota, int64_t amount = 1) : quota_(&quota), amount_(amount) {
    quota.Take(amount);
  }
  // For one unit that was already taken from `quota`.
  static Claim Adopt(Quota& quota) {
    Claim claim;
    claim.quota_ = &quota;
    claim.amount_ = 1;
    return claim;
  }
  Claim(Claim&& other) noexcept
      : quota_(std::exchange(other.quota_, nullptr)), amount_(other.amount_) {}
  Claim& operator=(Claim&& other) noexcept {
    std::swap(quota_, other.quota_);
    std::swap(amount_, other.amount_);
    return *this;
  }
  bool Holds() const { return quota_ != nullptr; }
  // Keeps the units taken; somebody else gives them back.
  void Release() { quota_ = nullptr; }
  ~Claim() {
    if (quota_ != nullptr) quota_->Give(amount_);
  }

 private:
  Quota* quota_ = nullptr;
  int64_t amount_ = 0;
};

// What one device has.
struct DeviceQuotas {
  explicit DeviceQuotas(int device);

  Quota stream_ids;  // ordinary and captured streams
  Quota queues;      // hardware queues: what aclrtGetStreamAvailableNum counts
  Quota events;
  Quota notifies;
  Quota models;
  Quota hbm;
};

}  // namespace ascend_sim
