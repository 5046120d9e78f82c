// SPDX-License-Identifier: Apache-2.0
#include "operator_limits.h"

#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "tensor.h"

namespace ascend_sim::opapi {
namespace {

DtypeSet BitOf(at::ScalarType type) { return DtypeSet{1} << static_cast<int>(type); }

std::string NameOf(at::ScalarType type) { return std::string(c10::getDtypeNames(type).first); }

// "float16, float32 or bfloat16"
std::string NamesOf(DtypeSet set) {
  std::vector<std::string> names;
  for (int i = 0; i < static_cast<int>(at::ScalarType::NumOptions); ++i) {
    const auto type = static_cast<at::ScalarType>(i);
    if ((set & BitOf(type)) != 0) names.push_back(NameOf(type));
  }
  std::string text = names.front();
  for (size_t i = 1; i < names.size(); ++i) {
    text += (i + 1 == names.size() ? " or " : ", ") + names[i];
  }
  return text;
}

std::string DimensionsOf(const TensorLimit& limit) {
  const auto least = std::to_string(limit.least_dims), most = std::to_string(limit.most_dims);
  return least == most ? least : least + " to " + most;
}

// `shared`: the dtype of another argument, and that argument's name.
std::string ExpectedDtype(const TensorLimit& limit, const std::string& shared) {
  if (limit.as < 0) return NamesOf(limit.dtypes);
  return limit.dtypes == 0 ? shared : shared + " or " + NamesOf(limit.dtypes);
}

const char* NameOfArgument(const OperatorLimits& limits, int argument) {
  for (const auto& limit : limits.tensors) {
    if (limit.argument == argument) return limit.name;
  }
  return "another argument";
}

void CheckDtype(const OperatorLimits& limits, const TensorLimit& limit, const at::Tensor& tensor,
                const at::Tensor* other) {
  const auto type = tensor.scalar_type();
  if ((limit.dtypes & BitOf(type)) != 0) return;
  std::string shared;
  if (limit.as >= 0) {
    const bool absent = other == nullptr || !other->defined();
    if (absent || other->scalar_type() == type) return;
    shared = NameOf(other->scalar_type()) + " (as " + NameOfArgument(limits, limit.as) + ")";
  }
  Limit(false, limit.name, " must be ", ExpectedDtype(limit, shared), ", got ", NameOf(type));
}

void CheckDimensions(const TensorLimit& limit, const at::Tensor& tensor) {
  if (tensor.dim() >= limit.least_dims && tensor.dim() <= limit.most_dims) return;
  Limit(false, limit.name, " must have ", DimensionsOf(limit), " dimensions, got ", tensor.dim());
}

void CheckValue(const ValueLimit& limit, int64_t value) {
  if (value >= limit.least && value <= limit.most) return;
  if (limit.least == limit.most) {
    Limit(false, limit.name, " must be ", limit.least, ", got ", value);
  } else {
    Limit(false, limit.name, " must be from ", limit.least, " to ", limit.most, ", got ", value);
  }
}

}  // namespace

const OperatorLimits* FindLimits(const char* name) {
  static const auto* const by_name = [] {
    auto* const made = new std::map<std::string_view, const OperatorLimits*>;
    for (const auto& limits : AllLimits()) made->emplace(limits.name, &limits);
    return made;  // never destroyed: used until the process ends
  }();
  const auto found = by_name->find(name);
  return found == by_name->end() ? nullptr : found->second;
}

void CheckLimits(const OperatorLimits& limits, std::span<const LimitedArgument> arguments) {
  for (const auto& limit : limits.tensors) {
    const auto* const tensor = arguments[limit.argument].tensor;
    if (tensor == nullptr || !tensor->defined()) continue;
    CheckDtype(limits, limit, *tensor, limit.as < 0 ? nullptr : arguments[limit.as].tensor);
    CheckDimensions(limit, *tensor);
  }
  for (const auto& limit : limits.values) {
    const auto& argument = arguments[limit.argument];
    if (argument.number) CheckValue(limit, *argument.number);
    if (argument.numbers == nullptr) continue;
    for (const auto number : *argument.numbers) CheckValue(limit, number);
  }
}

}  // namespace ascend_sim::opapi

// For the tests: one line per limit of a tensor: operator, argument, its name, `as`, the set of
// dtypes, least and most dimensions.
extern "C" [[gnu::visibility("default")]] const char* ascendSimDescribeLimits() {
  using namespace ascend_sim::opapi;
  static const std::string text = [] {
    std::ostringstream out;
    for (const auto& limits : AllLimits()) {
      for (const auto& limit : limits.tensors) {
        out << limits.name << ' ' << limit.argument << ' ' << limit.name << ' ' << limit.as << ' '
            << limit.dtypes << ' ' << limit.least_dims << ' ' << limit.most_dims << '\n';
      }
    }
    return out.str();
  }();
  return text.c_str();
}
