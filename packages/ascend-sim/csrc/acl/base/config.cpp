// SPDX-License-Identifier: Apache-2.0
#include "acl/base/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <map>
#include <variant>

#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "acl/base/tenant.h"

namespace ascend_sim {
namespace {

constexpr const char* kVariable = "ASCEND_SIM_CONFIG";
constexpr const char* kKeys =
    "devices, soc, hbm_bytes, streams, events, tenants, partition, sq, schedule, compute, limits, "
    "numerics, check, faults, timeline, counters_dir";

using Value = std::variant<std::monostate, int64_t, std::string>;  // null, integer, string

[[noreturn]] void Reject(const std::string& why) {
  Raise(kInvalidParam, std::string(kVariable) + ": " + why);
}

// A JSON object of integers, strings and nulls: all that the configuration needs.
class FlatJson {
 public:
  explicit FlatJson(const std::string& text) : at_(text.data()), end_(at_ + text.size()) {}

  std::map<std::string, Value> Parse() {
    std::map<std::string, Value> members;
    Expect('{');
    if (!Accept('}')) {
      do {
        const std::string key = String();
        Expect(':');
        if (!members.emplace(key, Scalar()).second) Reject("key \"" + key + "\" stands twice");
      } while (Accept(','));
      Expect('}');
    }
    SkipSpace();
    if (at_ != end_) Reject("text after the closing brace");
    return members;
  }

 private:
  void SkipSpace() {
    while (at_ != end_ && std::isspace(static_cast<unsigned char>(*at_))) ++at_;
  }

  bool Accept(char c) {
    SkipSpace();
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }

  void Expect(char c) {
    if (!Accept(c)) Reject(std::string("not a flat JSON object: expected '") + c + "'");
  }

  std::string String() {
    Expect('"');
    std::string out;
    while (at_ != end_ && *at_ != '"') {
      if (*at_ == '\\') {
        ++at_;
        if (at_ == end_ || (*at_ != '"' && *at_ != '\\' && *at_ != '/')) {
          Reject("only the escapes \\\", \\\\ and \\/ are understood");
        }
      }
      out += *at_++;
    }
    if (at_ == end_) Reject("a string does not end");
    ++at_;
    return out;
  }

  Value Scalar() {
    SkipSpace();
    if (at_ != end_ && *at_ == '"') return String();
    constexpr std::string_view kNull = "null";
    if (std::string_view(at_, end_ - at_).starts_with(kNull)) {
      at_ += kNull.size();
      return std::monostate{};
    }
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(at_, end_, number);
    if (error != std::errc{}) Reject("a value is neither an integer, a string nor null");
    at_ = stop;
    return number;
  }

  const char* at_;
  const char* end_;
};

bool IsNull(const Value& value) { return std::holds_alternative<std::monostate>(value); }

int64_t Integer(const std::string& key, const Value& value, int64_t low, int64_t high) {
  const auto* number = std::get_if<int64_t>(&value);
  if (number == nullptr || *number < low || *number > high) {
    Reject(key + " must be an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return *number;
}

std::string Text(const std::string& key, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) Reject(key + " must be a string");
  return *text;
}

// True for `yes`, false for `no`, anything else is rejected.
bool Choice(const std::string& key, const Value& value, const char* yes, const char* no) {
  const std::string text = Text(key, value);
  if (text != yes && text != no) {
    Reject(key + " must be \"" + yes + "\" or \"" + no + "\", not \"" + text + "\"");
  }
  return text == yes;
}

void SetSchedule(Config& config, const std::string& text) {
  constexpr std::string_view kChaos = "chaos:";
  config.inline_schedule = text == "inline";
  if (text == "inline" || text == "threads") return;
  uint64_t seed = 0;
  const std::string_view digits =
      std::string_view(text).substr(std::min(kChaos.size(), text.size()));
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), seed);
  if (!text.starts_with(kChaos) || error != std::errc{} || stop != digits.data() + digits.size()) {
    Reject(
        "schedule must be \"threads\", \"inline\" or \"chaos:SEED\" with a whole number, not \"" +
        text + "\"");
  }
  config.chaos_seed = seed;
}

Check CheckNamed(const std::string& text) {
  if (text == "off") return Check::kOff;
  if (text == "hazards") return Check::kHazards;
  if (text == "hazards=error") return Check::kHazardsError;
  Reject("check must be \"off\", \"hazards\" or \"hazards=error\", not \"" + text + "\"");
}

void Set(Config& config, const std::string& key, const Value& value) {
  constexpr int64_t kMaxHbm = int64_t{1} << 44;
  if (key == "devices") {
    config.devices = Integer(key, value, 1, 64);
  } else if (key == "soc") {
    config.soc = Text(key, value);
    if (FindSoc(config.soc) == nullptr) {
      Reject("soc must be one of " + SocNames() + ", not \"" + config.soc + "\"");
    }
  } else if (key == "hbm_bytes") {
    config.hbm_bytes = Integer(key, value, 1, kMaxHbm);
  } else if (key == "streams") {
    if (!IsNull(value)) config.streams = Integer(key, value, 1, 32768);
  } else if (key == "events") {
    if (!IsNull(value)) config.events = Integer(key, value, 1, 1 << 24);
  } else if (key == "tenants") {
    if (!IsNull(value)) config.tenants = Text(key, value);
    ParseTenants(config.tenants);
  } else if (key == "partition") {
    // Of files and variables that the parent made; nothing of this library depends on it.
  } else if (key == "sq") {
    config.hardware_queues = Choice(key, value, "hardware", "software");
  } else if (key == "schedule") {
    SetSchedule(config, Text(key, value));
  } else if (key == "compute") {
    config.compute = Choice(key, value, "on", "off");
  } else if (key == "limits") {
    config.device_limits = Choice(key, value, "device", "off");
  } else if (key == "numerics") {
    config.npu_numerics = Choice(key, value, "npu", "exact");
  } else if (key == "check") {
    config.check = CheckNamed(Text(key, value));
  } else if (key == "faults") {
    config.faults = Text(key, value);
  } else if (key == "timeline") {
    if (!IsNull(value)) config.timeline = Text(key, value);
  } else if (key == "counters_dir") {
    if (!IsNull(value)) config.counters_dir = Text(key, value);
  } else {
    Reject("unknown key \"" + key + "\"; the keys are " + kKeys);
  }
}

}  // namespace

Config ParseConfig(const std::string& text) {
  Config config;
  std::map<std::string, Value> members;
  if (!text.empty()) members = FlatJson(text).Parse();
  for (const auto& [key, value] : members) Set(config, key, value);
  const SocFamily& family = *FindSoc(config.soc)->family;
  if (config.streams == 0) config.streams = family.streams;
  if (config.events == 0) config.events = family.events;
  if (config.chaos_seed && !members.contains("check")) config.check = Check::kHazards;
  return config;
}

const Config& GetConfig() {
  // A function-local static whose initializer throws is tried again at the next call: the error
  // stays visible.
  static const Config config = [] {
    const char* text = std::getenv(kVariable);
    return ParseConfig(text == nullptr ? "" : text);
  }();
  return config;
}

bool ComputeEnabled() noexcept {
  try {
    return GetConfig().compute;
  } catch (...) {
    return true;
  }
}

bool NpuNumerics() noexcept {
  try {
    return GetConfig().npu_numerics;
  } catch (...) {
    return false;
  }
}

}  // namespace ascend_sim
