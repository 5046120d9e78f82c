// SPDX-License-Identifier: Apache-2.0
//
// Only in builds with -DASCEND_SIM_MUTATE=ON (`nox -s mutate -- operators`): plants a mistake in
// the declaration of one operator, as if an argument were read in the wrong way. The tests must
// notice.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "opapi/base/arguments.h"
#include "opapi/base/list.h"

namespace ascend_sim::opapi {

struct Mutation {
  enum class Kind { kSwap, kStride, kDType, kValue };
  std::string op;
  Kind kind;
  size_t first;
  size_t second;  // of a swap
};

// The mistake that is planted in `op`, or null.
const Mutation* PlantedIn(const char* op);
// Counts that it changed something.
void NoteMutated();

// Each makes the mistake in one value and returns whether that changes anything.
bool Misread(Mutation::Kind kind, at::Tensor& value);
bool Misread(Mutation::Kind kind, at::Scalar& value);
template <class T>
bool Misread(Mutation::Kind kind, T& value) {
  if constexpr (std::is_arithmetic_v<T>) {
    if (kind != Mutation::Kind::kValue) return false;
    if constexpr (std::is_same_v<T, bool>) {
      value = !value;
    } else {
      value = value + static_cast<T>(std::is_floating_point_v<T> ? 0.75 : 1);
    }
    return true;
  } else {
    return false;
  }
}
template <class T>
bool Misread(Mutation::Kind kind, std::optional<T>& value) {
  return value && Misread(kind, *value);
}
template <class T>
bool Misread(Mutation::Kind kind, List<T>& values) {
  if (values.empty()) return false;
  if constexpr (std::is_same_v<T, bool>) {
    if (kind == Mutation::Kind::kValue) values.front() = !values.front();
    return kind == Mutation::Kind::kValue;
  } else {
    return Misread(kind, values.front());
  }
}

bool Differ(const at::Tensor& one, const at::Tensor& other);
bool Differ(const at::Scalar& one, const at::Scalar& other);
template <class T>
bool Differ(const List<T>& one, const List<T>& other);
template <class T>
bool Differ(const T& one, const T& other) {
  if constexpr (requires { one != other; }) {
    return one != other;
  } else {
    return true;  // it cannot be told
  }
}
template <class T>
bool Differ(const std::optional<T>& one, const std::optional<T>& other) {
  return one && other ? Differ(*one, *other) : one.has_value() != other.has_value();
}
template <class T>
bool Differ(const List<T>& one, const List<T>& other) {
  return !std::equal(one.begin(), one.end(), other.begin(), other.end(),
                     [](const T& a, const T& b) { return !Differ(a, b); });
}

// Swaps what can be: not an argument that may be null with one that may not.
template <class T>
bool SwapWith(T& one, T& other) {
  if constexpr (std::is_swappable_v<T>) {
    const bool differ = Differ(one, other);
    std::swap(one, other);
    return differ;
  } else {
    return false;
  }
}
template <class T, class U>
bool SwapWith(T&, U&) {
  return false;
}
inline bool SwapWith(at::Tensor& one, std::optional<at::Tensor>& other) {
  if (!other) return false;
  std::swap(one, *other);
  return true;
}
inline bool SwapWith(std::optional<at::Tensor>& one, at::Tensor& other) {
  return SwapWith(other, one);
}

template <class... T>
void Mutate(const char* name, Arguments<T...>& arguments) {
  const Mutation* mutation = PlantedIn(name);
  if (mutation == nullptr) return;
  bool changed = false;
  const auto visit = [&](size_t wanted, auto&& function) {
    size_t index = 0;
    arguments.Apply(
        [&](auto&... values) { ((index++ == wanted ? function(values) : void()), ...); });
  };
  if (mutation->kind == Mutation::Kind::kSwap) {
    visit(mutation->first, [&](auto& one) {
      visit(mutation->second, [&](auto& other) { changed = SwapWith(one, other); });
    });
  } else {
    visit(mutation->first, [&](auto& value) { changed = Misread(mutation->kind, value); });
  }
  if (changed) NoteMutated();
}

}  // namespace ascend_sim::opapi
