// SPDX-License-Identifier: Apache-2.0
//
// Operators by name, the way before aclnn. torch_npu takes it where a tensor has a private format:
// copies, casts between formats, and products.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "attributes.h"
#include "opapi/format.h"

namespace ascend_sim {

using Operands = std::vector<opapi::FormattedTensor>;

// What the operator does when the stream comes to it.
using NamedBody = std::function<void(const Operands& inputs, const Operands& outputs,
                                     const aclopAttr& attributes)>;

struct NamedOperator {
  const char* name;
  size_t inputs;  // at least
  NamedBody body;
};

// Null when there is no such operator.
const NamedOperator* FindOperator(std::string_view name);

}  // namespace ascend_sim
