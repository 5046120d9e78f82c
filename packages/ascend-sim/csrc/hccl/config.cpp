// SPDX-License-Identifier: Apache-2.0
//
// libhccl, settings of the process. torch_npu says with the first operator whether collectives must
// be deterministic; there are no collectives yet, so the value is only kept.
#include <atomic>
#include <cstdint>

#include "abi/acl.h"
#include "ascend_sim/launch.h"

namespace {

enum HcclResult : int { kHcclSuccess = 0, kHcclInvalid = 1 };
enum HcclConfig : int { kHcclDeterministic = 0 };

union HcclConfigValue {
  int32_t value;
};

std::atomic<int32_t> deterministic{0};

}  // namespace

ASCEND_SIM_ABI int HcclSetConfig(int config, HcclConfigValue value) {
  if (config != kHcclDeterministic) {
    return ascend_sim::Fail(kHcclInvalid, "HcclSetConfig",
                            "the only setting is HCCL_DETERMINISTIC (0)");
  }
  deterministic = value.value;
  return kHcclSuccess;
}

ASCEND_SIM_ABI int HcclGetConfig(int config, HcclConfigValue* value) {
  if (config != kHcclDeterministic || value == nullptr) {
    return ascend_sim::Fail(kHcclInvalid, "HcclGetConfig",
                            "the only setting is HCCL_DETERMINISTIC (0)");
  }
  value->value = deterministic;
  return kHcclSuccess;
}
