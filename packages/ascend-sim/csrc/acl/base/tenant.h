// SPDX-License-Identifier: Apache-2.0
//
// Other tenants of the devices: programs in other containers. Nothing is seen of them but what
// they leave over.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "acl/base/resource.h"

namespace ascend_sim {

// Takes its amounts of every device in equal steps: the first `after_ms` milliseconds after a
// process of the simulation first took something, the others every `every_ms`. A step that finds
// less than it wants takes what there is.
struct Tenant {
  std::array<int64_t, kResources> amounts{};
  int64_t after_ms = 0;
  int64_t steps = 1;
  int64_t every_ms = 0;

  // How many steps are due at a time.
  int64_t StepsDue(int64_t elapsed_ms) const;
  // What step `number` (from 0) wants of a resource.
  int64_t Wants(Resource resource, int64_t number) const;
};

// Tenants separated by ';', each a list of key=integer separated by ','. The keys are the names of
// the resources, after_ms, steps and every_ms. Throws Failure(kInvalidParam) that names the key.
std::vector<Tenant> ParseTenants(const std::string& text);

}  // namespace ascend_sim
