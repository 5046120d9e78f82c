// SPDX-License-Identifier: Apache-2.0
//
// The ledger of what a device has a limited number of. Every object that takes something holds a
// Claim and gives it back when it goes.
#pragma once

#include <cstdint>
#include <mutex>
#include <utility>

namespace ascend_sim {

// A counted resource. Safe from any thread.
class Quota {
 public:
  Quota(const char* noun, int exhausted_code, int64_t limit)
      : noun_(noun), code_(exhausted_code), limit_(limit) {}

  // Takes `amount` or throws Failure(exhausted_code).
  void Take(int64_t amount = 1);
  // Takes `amount` if there is enough.
  bool TryTake(int64_t amount = 1);
  // Takes what there is of `amount`; returns how much.
  int64_t TakeUpTo(int64_t amount);
  void Give(int64_t amount = 1);
  int64_t Available() const;
  int64_t Limit() const { return limit_; }

 private:
  const char* noun_;
  const int code_;
  const int64_t limit_;
  mutable std::mutex mutex_;
  int64_t used_ = 0;
};

// `amount` units taken from a quota that must outlive the claim.
class Claim {
 public:
  Claim() = default;
  explicit Claim(Quota& quota, int64_t amount = 1) : quota_(&quota), amount_(amount) {
    quota.Take(amount);
  }
  // Of one unit that was taken from `quota` already.
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

// What one device has, by the configuration and, where that leaves it open, by the chip.
struct Ledger {
  Ledger();

  Quota stream_ids;  // ordinary and captured streams
  Quota queues;      // hardware queues: what aclrtGetStreamAvailableNum counts
  Quota events;
  Quota notifies;
  Quota models;
  Quota hbm;
};

}  // namespace ascend_sim
