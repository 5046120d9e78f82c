// SPDX-License-Identifier: Apache-2.0
//
// Checks the arguments of a call by the rules of its operator (opapi/rules), before its body.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "opapi/abi/format.h"
#include "opapi/base/list.h"
#include "opapi/rules/limits.h"
#include "opapi/rules/shapes.h"

namespace ascend_sim::opapi {

// What rules know of an argument.
inline LimitedArgument Limited(const at::Tensor& value) {
  if (!value.defined()) return {};
  return {.tensors = {{value.scalar_type(), value.dim(), value.sizes()}}};
}
inline LimitedArgument Limited(const FormattedTensor& value) {
  // Pages give the dimensions of the blocks.
  const auto dims = value.fractal() ? value.storage().dim() : value.dim();
  return {.tensors = {{value.scalar_type(), dims, value.sizes()}}};
}
template <class T>
  requires std::is_same_v<T, at::Tensor> || std::is_same_v<T, FormattedTensor>
LimitedArgument Limited(const List<T>& list) {
  LimitedArgument argument;
  for (const auto& value : list) {
    for (const auto& tensor : Limited(value).tensors) argument.tensors.push_back(tensor);
  }
  return argument;
}
inline LimitedArgument Limited(const List<int64_t>& value) { return {.numbers = &value}; }
inline LimitedArgument Limited(int64_t value) { return {.number = value}; }
template <class T>
LimitedArgument Limited(const T&) {
  return {};
}
template <class T>
LimitedArgument Limited(const std::optional<T>& value) {
  return value ? Limited(*value) : LimitedArgument();
}

// The rules of one operator. `name` has static storage.
class Rules {
 public:
  explicit Rules(const char* name) : limits_(FindLimits(name)), shapes_(FindShapeRules(name)) {}

  // Whether there is something to check.
  bool apply() const { return limits_wanted() || !shapes_.empty(); }
  // Throws ParamError.
  void Check(std::span<const LimitedArgument> arguments) const {
    if (limits_wanted()) CheckLimits(*limits_, arguments);
    CheckShapes(shapes_, limits_, arguments);
  }

 private:
  bool limits_wanted() const { return limits_ != nullptr && DeviceLimits(); }

  const OperatorLimits* const limits_;
  const std::span<const ShapeRule> shapes_;
};

}  // namespace ascend_sim::opapi
