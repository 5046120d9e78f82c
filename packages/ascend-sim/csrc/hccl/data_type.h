// SPDX-License-Identifier: Apache-2.0
//
// HCCL's data types and reductions: sizes, names, and the arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/hccl.h"

namespace ascend_sim::hccl {

const char* TypeName(abi::HcclDataType type);
const char* ReduceName(abi::HcclReduceOp op);

// Bytes of one element. Fails with HCCL_E_PARA if the number is not a type.
size_t TypeBytes(abi::HcclDataType type);

// Fails with HCCL_E_NOT_SUPPORT for a type that this chip cannot reduce, and with HCCL_E_PARA if
// the number is not a reduction.
void RequireReducible(abi::HcclDataType type, abi::HcclReduceOp op);

// out[i] = inputs[0][i] op inputs[1][i] op ..., in this order, so the result does not depend on
// timing or on the rank that computes it. fp16 and bf16 are accumulated in fp32 and rounded once.
// Integers wrap around. `out` may be one of the inputs.
void Reduce(std::byte* out, const std::byte* const* inputs, size_t inputs_count, size_t elements,
            abi::HcclDataType type, abi::HcclReduceOp op);

}  // namespace ascend_sim::hccl
