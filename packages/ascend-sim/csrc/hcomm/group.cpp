// SPDX-License-Identifier: Apache-2.0
//
// libhcomm: where torch_npu looks groups up. They are libhccl's.
#include "abi/acl.h"
#include "hccl/point_to_point.h"

ASCEND_SIM_ABI int HcclGroupStart() { return ascend_sim::hccl::GroupStart(); }

ASCEND_SIM_ABI int HcclGroupEnd() { return ascend_sim::hccl::GroupEnd(); }
