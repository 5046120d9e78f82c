// SPDX-License-Identifier: Apache-2.0
//
// What a device takes of the arguments of an operator one by one: dtypes, numbers of dimensions,
// ranges of numbers; one table for all operators (operator_limit_table.cpp). They are checked in
// the first phase, before the operator's body, which says with `Limit` what a table cannot: what
// depends on shapes or on several arguments.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ascend_sim::opapi {

using DtypeSet = uint64_t;  // bit n: the at::ScalarType n

// What is taken of one tensor. A tensor that is null is not looked at.
struct TensorLimit {
  int argument;      // its position in the C signature
  const char* name;  // CANN's
  DtypeSet dtypes;
  int as = -1;  // if it names an argument: the dtype of that one, or one of `dtypes`
  int least_dims = 0, most_dims = 8;
};

// What is taken of a number, or of each in a list.
struct ValueLimit {
  int argument;
  const char* name;
  int64_t least, most;
};

struct OperatorLimits {
  const char* name;
  std::vector<TensorLimit> tensors;
  std::vector<ValueLimit> values = {};
};

// An argument as limits see it; one of another kind is neither tensor nor numbers.
struct LimitedArgument {
  const at::Tensor* tensor = nullptr;
  const std::vector<int64_t>* numbers = nullptr;
  std::optional<int64_t> number = {};
};

// Null for an operator without limits in the table.
const OperatorLimits* FindLimits(const char* name);

// All limits of the table.
std::span<const OperatorLimits> AllLimits();

// Throws LimitError.
void CheckLimits(const OperatorLimits& limits, std::span<const LimitedArgument> arguments);

}  // namespace ascend_sim::opapi
