// SPDX-License-Identifier: Apache-2.0
//
// What is known of the chips that can be simulated.
#pragma once

#include <cstdint>
#include <string>

namespace ascend_sim {

struct Soc {
  const char* name;
  int cube_cores;
  int vector_cores;
  int64_t l2_bytes;
  int64_t ub_bytes;
};

// Null for an unknown name.
const Soc* FindSoc(const std::string& name);

// The chip of this process's configuration.
const Soc& ThisSoc();

// All names, separated by commas.
std::string SocNames();

}  // namespace ascend_sim
