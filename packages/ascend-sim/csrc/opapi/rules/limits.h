// SPDX-License-Identifier: Apache-2.0
//
// What a device accepts for each argument of an operator: dtypes, numbers of dimensions, ranges of
// numbers. The limits come from CANN's pages (spec/limits.toml), amended by hand where more or
// something else is known (limits_by_hand.cpp). They are checked in the first phase, before
// the operator's body, which says with `Limit` what a table cannot: what depends on shapes or on
// several arguments.
#pragma once

#include <c10/core/ScalarType.h>
#include <c10/util/ArrayRef.h>
#include <c10/util/SmallVector.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ascend_sim::opapi {

using DtypeSet = uint64_t;  // bit n: the at::ScalarType n

template <class... Types>
constexpr DtypeSet SetOf(Types... types) {
  return ((DtypeSet{1} << static_cast<int>(types)) | ...);
}
inline constexpr DtypeSet kAnyDtype = ~DtypeSet{0};

// What is accepted of one tensor, or of each in a list. A null tensor is not checked.
struct TensorLimit {
  int argument;      // its position in the C signature
  const char* name;  // CANN's
  DtypeSet dtypes;
  int as = -1;  // if it names an argument: the dtype of that one, or one of `dtypes`
  int least_dims = 0, most_dims = 8;
};

// What is accepted of a number, or of each in a list.
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

// What limits know of a tensor and of an argument.
struct LimitedTensor {
  at::ScalarType type;
  int64_t dims;
  at::IntArrayRef sizes;  // of FRACTAL_NZ those of the matrices, where `dims` counts its blocks'
};
struct LimitedArgument {
  c10::SmallVector<LimitedTensor, 1> tensors = {};
  const std::vector<int64_t>* numbers = nullptr;
  std::optional<int64_t> number = {};
};

// What a page says of one tensor.
struct DocumentedLimit {
  const char* operator_name;
  TensorLimit limit;
};

// Generated from spec/limits.toml.
std::span<const DocumentedLimit> DocumentedLimits();

// The table by hand; its entry for an argument replaces that of the page.
std::span<const OperatorLimits> LimitsByHand();

// A limit of a page that is not checked; `argument` is null for all of the operator.
struct UncheckedLimit {
  std::string_view operator_name;
  const char* argument;
};
std::span<const UncheckedLimit> UncheckedLimits();

// Null for an operator without limits.
const OperatorLimits* FindLimits(const char* name);

// CANN's name of an argument, or its position; `limits` may be null.
std::string NameOfArgument(const OperatorLimits* limits, int argument);

// Throws LimitError.
void CheckLimits(const OperatorLimits& limits, std::span<const LimitedArgument> arguments);

}  // namespace ascend_sim::opapi
