// SPDX-License-Identifier: Apache-2.0
//
// Settings of the process. With its first operator, torch_npu sets whether collectives must be
// deterministic. They always are, so the value is only stored.
#include <atomic>

#include "abi/acl.h"
#include "hccl/error.h"

namespace ascend_sim::hccl {
namespace {

std::atomic<int32_t> deterministic{0};

void RequireKnown(int setting) {
  Require(setting == abi::kHcclDeterministic, abi::kHcclPara,
          "the only setting is HCCL_DETERMINISTIC (0)");
}

}  // namespace

ASCEND_SIM_ABI int HcclSetConfig(int setting, abi::HcclSettingValue value) {
  return Call("HcclSetConfig", [&] {
    RequireKnown(setting);
    deterministic = value.value;
  });
}

ASCEND_SIM_ABI int HcclGetConfig(int setting, abi::HcclSettingValue* value) {
  return Call("HcclGetConfig", [&] {
    RequireKnown(setting);
    RequirePtr(value, "configValue");
    value->value = deterministic;
  });
}

}  // namespace ascend_sim::hccl
