// SPDX-License-Identifier: Apache-2.0
#include "hccl/error.h"

#include "abi/acl.h"

namespace ascend_sim::hccl {

const char* ResultName(int code) noexcept {
#define ASCEND_SIM_HCCL_CASE(number, name, text) \
  case number:                                   \
    return text;
  switch (code) { ASCEND_SIM_HCCL_RESULTS(ASCEND_SIM_HCCL_CASE) }
#undef ASCEND_SIM_HCCL_CASE
  return "unknown result";
}

}  // namespace ascend_sim::hccl

ASCEND_SIM_ABI const char* HcclGetErrorString(int code) {
  return ascend_sim::hccl::ResultName(code);
}
