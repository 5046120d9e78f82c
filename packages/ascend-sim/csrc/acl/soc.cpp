// SPDX-License-Identifier: Apache-2.0
#include "acl/soc.h"

#include "acl/config.h"

namespace ascend_sim {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kUb = 192 << 10;

// Only chips with software queues and value waits: the ones whose graph behaviour this library
// reproduces.
constexpr Soc kSocs[] = {
    {"Ascend910B1", 24, 48, 192 * kMiB, kUb},    {"Ascend910B2", 24, 48, 192 * kMiB, kUb},
    {"Ascend910B2C", 24, 48, 192 * kMiB, kUb},   {"Ascend910B3", 20, 40, 192 * kMiB, kUb},
    {"Ascend910B4", 20, 40, 96 * kMiB, kUb},     {"Ascend910B4-1", 20, 40, 168 * kMiB, kUb},
    {"Ascend910_9391", 24, 48, 192 * kMiB, kUb}, {"Ascend910_9392", 24, 48, 192 * kMiB, kUb},
    {"Ascend910_9381", 24, 48, 192 * kMiB, kUb}, {"Ascend910_9382", 24, 48, 192 * kMiB, kUb},
    {"Ascend910_9372", 20, 40, 192 * kMiB, kUb}, {"Ascend910_9362", 20, 40, 168 * kMiB, kUb},
    {"Ascend910_9363", 20, 40, 168 * kMiB, kUb},
};

}  // namespace

const Soc* FindSoc(const std::string& name) {
  for (const Soc& soc : kSocs) {
    if (name == soc.name) return &soc;
  }
  return nullptr;
}

const Soc& ThisSoc() { return *FindSoc(GetConfig().soc); }

std::string SocNames() {
  std::string names;
  for (const Soc& soc : kSocs) names += (names.empty() ? "" : ", ") + std::string(soc.name);
  return names;
}

}  // namespace ascend_sim
