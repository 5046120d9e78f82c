// SPDX-License-Identifier: Apache-2.0
#include "hccl/settings.h"

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "hccl/error.h"

namespace ascend_sim::hccl {
namespace {

int64_t SecondsFrom(const char* variable, int64_t low, int64_t high, int64_t absent) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') return absent;
  int64_t value = 0;
  const char* end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || value < low || value > high) {
    Raise(abi::kHcclPara, std::string(variable) + "=" + text +
                              " must be a number of seconds from " + std::to_string(low) + " to " +
                              std::to_string(high));
  }
  return value;
}

}  // namespace

std::chrono::seconds ConnectTimeout() {
  return std::chrono::seconds(SecondsFrom("HCCL_CONNECT_TIMEOUT", 1, 7200, 120));
}

std::optional<std::chrono::seconds> ExecTimeout() {
  const int64_t seconds = SecondsFrom("HCCL_EXEC_TIMEOUT", 0, INT32_MAX, 1836);
  if (seconds == 0) return std::nullopt;
  return std::chrono::seconds(seconds);
}

bool ExpandsOnVectorCores() {
  const char* mode = std::getenv("HCCL_OP_EXPANSION_MODE");
  return mode != nullptr && std::strcmp(mode, "AIV") == 0;
}

}  // namespace ascend_sim::hccl
