// SPDX-License-Identifier: Apache-2.0
#include "acl/base/tenant.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "acl/base/error.h"

namespace ascend_sim {
namespace {

// Takes the part of `text` before the next `separator` off it.
std::string_view TakePart(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

int64_t* Place(Tenant& tenant, std::string_view key) {
  for (size_t i = 0; i < kResources; ++i) {
    if (key == kResourceNames[i]) return &tenant.amounts[i];
  }
  if (key == "after_ms") return &tenant.after_ms;
  if (key == "steps") return &tenant.steps;
  if (key == "every_ms") return &tenant.every_ms;
  return nullptr;
}

void Set(Tenant& tenant, std::string_view setting) {
  std::string_view value = setting;
  int64_t* const place = Place(tenant, TakePart(value, '='));
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = error == std::errc{} && stop == value.data() + value.size();
  if (place == nullptr || !whole || number < 0 || (place == &tenant.steps && number == 0)) {
    std::string keys;
    for (const char* name : kResourceNames) keys += std::string(name) + ", ";
    Raise(kInvalidParam, "tenants: \"" + std::string(setting) +
                             "\" is not key=number; the keys are " + keys +
                             "after_ms, steps (at least 1), every_ms");
  }
  *place = number;
}

}  // namespace

int64_t Tenant::StepsDue(int64_t elapsed_ms) const {
  if (elapsed_ms < after_ms) return 0;
  if (every_ms == 0) return steps;
  return std::min(steps, 1 + (elapsed_ms - after_ms) / every_ms);
}

int64_t Tenant::Wants(Resource resource, int64_t number) const {
  const int64_t amount = amounts[static_cast<size_t>(resource)];
  // By quotient and remainder, because the product of memory and steps may overflow.
  return amount / steps + (number < amount % steps ? 1 : 0);
}

std::vector<Tenant> ParseTenants(const std::string& text) {
  std::vector<Tenant> tenants;
  for (std::string_view rest = text; !rest.empty();) {
    Tenant& tenant = tenants.emplace_back();
    for (std::string_view one = TakePart(rest, ';'); !one.empty();) Set(tenant, TakePart(one, ','));
  }
  return tenants;
}

}  // namespace ascend_sim
