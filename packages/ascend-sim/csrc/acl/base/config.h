// SPDX-License-Identifier: Apache-2.0
//
// What is simulated. Read once, from the environment variable ASCEND_SIM_CONFIG: a flat JSON object
// with the fields below as keys, all optional. Immutable afterwards.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ascend_sim {

// Whether work is checked for hazards, and whether a hazard is an error of its device.
enum class Check { kOff, kHazards, kHazardsError };

struct Config {
  int64_t devices = 1;
  std::string soc = "Ascend910B3";
  int64_t hbm_bytes = int64_t{8} << 30;  // per device
  int64_t streams = 0;                   // hardware queues per device; 0: the chip's number
  int64_t events = 0;                    // per device; 0: the chip's number
  std::string tenants;                   // other tenants, see tenant.h
  bool hardware_queues = false;          // sq: "software" or "hardware"; see binding.h
  bool inline_schedule = false;          // schedule: "threads", "inline" or
  std::optional<uint64_t> chaos_seed;    //           "chaos:SEED"
  bool compute = true;                   // compute: "on" or "off"
  bool device_limits = true;             // limits: "device" or "off"; see launch.h
  bool npu_numerics = false;             // numerics: "exact" or "npu"; see launch.h
  Check check = Check::kOff;             // check: "off", "hazards" (default with chaos), ...
  std::string faults;                    // see fault.h; several are separated by semicolons
  std::string timeline;                  // file of the timeline; empty: none
  std::string counters_dir;              // empty: counters stay in this process
};

// The configuration of this process. Throws Failure(kInvalidParam) each time when the text is
// wrong.
const Config& GetConfig();

// The text is a JSON object, or empty for all defaults; limits that it leaves open are the chip's.
// Strict: unknown keys, wrong types and values outside the valid ones throw Failure with the valid
// ones named.
Config ParseConfig(const std::string& text);

}  // namespace ascend_sim
