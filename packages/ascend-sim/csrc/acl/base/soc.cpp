// SPDX-License-Identifier: Apache-2.0
#include "acl/base/soc.h"

#include "acl/base/config.h"

namespace ascend_sim {
namespace {

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kKiB = 1 << 10;

// A2 (910B) and A3 (910_93).
constexpr SocFamily kA2{.streams = 1984,
                        .stream_ids = 32768,
                        .queue_depth = 2048,
                        .queue_tasks = 2013,
                        .sink_tasks = 60000,
                        .events = 65536,
                        .notifies = 8192,
                        .split_reserve = 32,
                        .group_nops = 8,
                        .allocation_guard = 32,
                        .software_queues = true,
                        .value_wait = true};
constexpr SocFamily k950{.streams = 1984,
                         .stream_ids = 65535,
                         .queue_depth = 2049,
                         .queue_tasks = 2014,
                         .sink_tasks = 60000,
                         .events = 65536,
                         .notifies = 65535,
                         .split_reserve = 32 + 8,
                         .group_nops = 8,
                         .allocation_guard = 0,
                         .software_queues = true,
                         .value_wait = true};
constexpr SocFamily k310P{.streams = 1024,
                          .stream_ids = 992,
                          .queue_depth = 2048,
                          .queue_tasks = 2042,
                          .sink_tasks = 32760,
                          .events = 1023,
                          .notifies = 1024,
                          .split_reserve = 32,
                          .group_nops = 10,
                          .allocation_guard = 32,
                          .software_queues = false,
                          .value_wait = false};

// The 910A is missing: it has no graphs.
constexpr Soc kSocs[] = {
    {"Ascend910B1", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910B2", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910B2C", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910B3", 20, 40, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910B4", 20, 40, 96 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910B4-1", 20, 40, 168 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9391", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9392", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9381", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9382", 24, 48, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9372", 20, 40, 192 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9362", 20, 40, 168 * kMiB, 192 * kKiB, &kA2},
    {"Ascend910_9363", 20, 40, 168 * kMiB, 192 * kKiB, &kA2},
    {"Ascend310P1", 10, 8, 16 * kMiB, 256 * kKiB, &k310P},
    {"Ascend310P3", 8, 7, 16 * kMiB, 256 * kKiB, &k310P},
    {"Ascend310P5", 8, 7, 16 * kMiB, 256 * kKiB, &k310P},
    {"Ascend310P7", 8, 7, 16 * kMiB, 256 * kKiB, &k310P},
    {"Ascend950PR_9599", 36, 72, 128 * kMiB, 248 * kKiB, &k950},
    {"Ascend950PR_9589", 32, 64, 128 * kMiB, 248 * kKiB, &k950},
    {"Ascend950PR_9579", 28, 56, 128 * kMiB, 248 * kKiB, &k950},
    {"Ascend950DT_9591", 36, 72, 128 * kMiB, 248 * kKiB, &k950},
    {"Ascend950DT_9581", 32, 64, 128 * kMiB, 248 * kKiB, &k950},
    {"Ascend950DT_9571", 28, 56, 128 * kMiB, 248 * kKiB, &k950},
};

}  // namespace

const Soc* FindSoc(const std::string& name) {
  for (const Soc& soc : kSocs) {
    if (name == soc.name) return &soc;
  }
  return nullptr;
}

const Soc& ThisSoc() {
  static const Soc& soc = *FindSoc(GetConfig().soc);
  return soc;
}

std::string SocNames() {
  std::string names;
  for (const Soc& soc : kSocs) names += (names.empty() ? "" : ", ") + std::string(soc.name);
  return names;
}

}  // namespace ascend_sim
