// SPDX-License-Identifier: Apache-2.0
//
// Only in builds with -DASCEND_SIM_MUTATE=ON (`nox -s mutate -- operators`): plants a mistake in
// the declaration of one operator, as if an argument were read in the wrong way. The tests must
// notice.
#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ascend_sim::opapi {

struct DType;

struct Mutation {
  enum class Kind { kSwap, kStride, kDType, kValue };
  std::string op;
  Kind kind;
  size_t first;
  size_t second;  // of a swap
};

// The mistake that is planted in `op`, or null.
const Mutation* PlantedIn(const char* op);
// Counts that it was in force.
void NoteMutated();

// Each makes the mistake in one value, where the value's type has it.
void Misread(Mutation::Kind kind, at::Tensor& value);
void Misread(Mutation::Kind kind, at::Scalar& value);
template <class T>
void Misread(Mutation::Kind kind, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (kind == Mutation::Kind::kValue) value = !value;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (kind == Mutation::Kind::kValue) value = value * T{2} + T{1};
  } else if constexpr (std::is_integral_v<T>) {
    if (kind == Mutation::Kind::kValue) ++value;
  }
}
template <class T>
void Misread(Mutation::Kind kind, std::optional<T>& value) {
  if (value) Misread(kind, *value);
}
template <class T>
void Misread(Mutation::Kind kind, std::vector<T>& values) {
  if (values.empty()) return;
  if constexpr (std::is_same_v<T, bool>) {
    if (kind == Mutation::Kind::kValue) values.front() = !values.front();
  } else {
    Misread(kind, values.front());
  }
}

template <class T>
void SwapWith(T& one, T& other) {
  if constexpr (std::is_swappable_v<T>) std::swap(one, other);
}
template <class T, class U>
void SwapWith(T&, U&) {}

template <class... T>
void Mutate(const char* name, std::tuple<T...>& arguments) {
  const Mutation* mutation = PlantedIn(name);
  if (mutation == nullptr) return;
  NoteMutated();
  const auto visit = [&](size_t wanted, auto&& function) {
    size_t index = 0;
    std::apply([&](auto&... values) { ((index++ == wanted ? function(values) : void()), ...); },
               arguments);
  };
  if (mutation->kind == Mutation::Kind::kSwap) {
    visit(mutation->first,
          [&](auto& one) { visit(mutation->second, [&](auto& other) { SwapWith(one, other); }); });
  } else {
    visit(mutation->first, [&](auto& value) { Misread(mutation->kind, value); });
  }
}

}  // namespace ascend_sim::opapi
