// SPDX-License-Identifier: Apache-2.0
//
// Operators by name, the way before aclnn. torch_npu takes it where a tensor has a private format
// (copies, casts between formats, products, the gradient of ReLU) and for a few of its own
// functions (npu_transpose, npu_slice, and LSTMs of other forms than aclnnLSTM takes).
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "acl_op_compiler/attributes.h"
#include "opapi/abi/format.h"
#include "opapi/base/list.h"

namespace ascend_sim {

using Operands = opapi::FormattedTensors;

struct NamedCall {
  Operands inputs, outputs;
  opapi::List<opapi::List<int64_t>> numbers;  // inputs in host memory, read at the call
  aclopAttr attributes;
};

// What the operator does when the stream comes to it.
using NamedBody = std::function<void(const NamedCall&)>;

struct NamedOperator {
  const char* name;
  size_t inputs;   // at least
  size_t numbers;  // lists in host memory
  NamedBody body;
  size_t outputs = 1;
};

// Null when there is no such operator.
const NamedOperator* FindOperator(std::string_view name);

}  // namespace ascend_sim
