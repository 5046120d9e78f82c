// SPDX-License-Identifier: Apache-2.0
#include "opapi/rules/limits.h"

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <string_view>

#include "opapi/base/error.h"

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

void CheckDtype(const OperatorLimits& limits, const TensorLimit& limit, at::ScalarType type,
                std::span<const LimitedArgument> arguments) {
  if ((limit.dtypes & BitOf(type)) != 0) return;
  std::string shared;
  if (limit.as >= 0) {
    const auto& others = arguments[limit.as].tensors;
    if (others.empty() || others[0].type == type) return;
    shared = NameOf(others[0].type) + " (as " + NameOfArgument(&limits, limit.as) + ")";
  }
  Limit(false, limit.name, " must be ", ExpectedDtype(limit, shared), ", got ", NameOf(type));
}

void CheckDimensions(const TensorLimit& limit, int64_t dims) {
  if (dims >= limit.least_dims && dims <= limit.most_dims) return;
  Limit(false, limit.name, " must have ", DimensionsOf(limit), " dimensions, got ", dims);
}

void CheckValue(const ValueLimit& limit, int64_t value) {
  if (value >= limit.least && value <= limit.most) return;
  if (limit.least == limit.most) {
    Limit(false, limit.name, " must be ", limit.least, ", got ", value);
  } else {
    Limit(false, limit.name, " must be from ", limit.least, " to ", limit.most, ", got ", value);
  }
}

bool IsUnchecked(const DocumentedLimit& documented) {
  return std::ranges::any_of(UncheckedLimits(), [&](const UncheckedLimit& unchecked) {
    return unchecked.operator_name == documented.operator_name &&
           (unchecked.argument == nullptr ||
            std::string_view(unchecked.argument) == documented.limit.name);
  });
}

// Replaces the limit of the same argument.
void Amend(OperatorLimits& limits, const TensorLimit& limit) {
  const auto place =
      std::ranges::lower_bound(limits.tensors, limit.argument, {}, &TensorLimit::argument);
  if (place != limits.tensors.end() && place->argument == limit.argument) {
    *place = limit;
  } else {
    limits.tensors.insert(place, limit);
  }
}

// By operator: those of the pages, amended by hand.
const std::map<std::string_view, OperatorLimits>& AllLimits() {
  static const auto* const all = [] {
    auto* const made = new std::map<std::string_view, OperatorLimits>;
    for (const auto& documented : DocumentedLimits()) {
      if (IsUnchecked(documented)) continue;
      Amend((*made)[documented.operator_name], documented.limit);
    }
    for (const auto& by_hand : LimitsByHand()) {
      auto& limits = (*made)[by_hand.name];
      for (const auto& limit : by_hand.tensors) Amend(limits, limit);
      limits.values = by_hand.values;
    }
    return made;  // never destroyed: used until the process ends
  }();
  return *all;
}

}  // namespace

const OperatorLimits* FindLimits(const char* name) {
  const auto& all = AllLimits();
  const auto found = all.find(name);
  return found == all.end() ? nullptr : &found->second;
}

std::string NameOfArgument(const OperatorLimits* limits, int argument) {
  if (limits != nullptr) {
    for (const auto& limit : limits->tensors) {
      if (limit.argument == argument) return limit.name;
    }
  }
  return "argument " + std::to_string(argument);
}

void CheckLimits(const OperatorLimits& limits, std::span<const LimitedArgument> arguments) {
  for (const auto& limit : limits.tensors) {
    for (const auto& tensor : arguments[limit.argument].tensors) {
      CheckDtype(limits, limit, tensor.type, arguments);
      CheckDimensions(limit, tensor.dims);
    }
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
    for (const auto& [name, limits] : AllLimits()) {
      for (const auto& limit : limits.tensors) {
        out << name << ' ' << limit.argument << ' ' << limit.name << ' ' << limit.as << ' '
            << limit.dtypes << ' ' << limit.least_dims << ' ' << limit.most_dims << '\n';
      }
    }
    return out.str();
  }();
  return text.c_str();
}
