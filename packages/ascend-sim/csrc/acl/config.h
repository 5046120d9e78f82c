// SPDX-License-Identifier: Apache-2.0
//
// What is simulated. Read once, from the environment variable ASCEND_SIM_CONFIG: a flat JSON object
// with the fields below as keys, all optional. Immutable afterwards.
#pragma once

#include <cstdint>
#include <string>

namespace ascend_sim {

struct Config {
  int64_t devices = 1;
  std::string soc = "Ascend910B3";
  int64_t hbm_bytes = int64_t{8} << 30;  // per device
  int64_t streams = 1984;                // hardware queues per device
  int64_t events = 65536;                // per device
  bool hardware_queues = false;          // sq: "software" or "hardware"; see binding.h
  bool inline_schedule = false;          // schedule: "threads" or "inline"
  bool compute = true;                   // compute: "on" or "off"
  std::string counters_dir;              // empty: counters stay in this process
};

// The configuration of this process. Throws Failure(kInvalidParam) each time when the text is
// wrong.
const Config& GetConfig();

// Strict: unknown keys, wrong types and values outside the valid ones throw Failure with the valid
// ones named.
Config ParseConfig(const std::string& text);

}  // namespace ascend_sim
