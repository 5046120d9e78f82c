// SPDX-License-Identifier: Apache-2.0
#include "acl/base/visible_devices.h"

#include <charconv>
#include <cstdlib>
#include <numeric>
#include <string_view>

namespace ascend_sim {
namespace {

std::vector<int> Named(std::string_view wanted, int number) {
  wanted = wanted.substr(0, wanted.find_first_not_of("0123456789,"));
  std::vector<int> visible;
  for (const char *next = wanted.data(), *end = next + wanted.size(); next < end; ++next) {
    int device = 0;
    const auto [after, error] = std::from_chars(next, end, device);
    if (error != std::errc() || device >= number) break;
    if (!visible.empty() && device <= visible.back()) return {};
    visible.push_back(device);
    next = after;  // the comma
  }
  return visible;
}

}  // namespace

std::vector<int> VisibleDevices(int number) {
  if (const char* wanted = std::getenv("ASCEND_RT_VISIBLE_DEVICES")) {
    return Named(wanted, number);
  }
  std::vector<int> all(number);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace ascend_sim
