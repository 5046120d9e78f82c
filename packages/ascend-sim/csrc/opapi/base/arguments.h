// SPDX-License-Identifier: Apache-2.0
//
// The arguments of an operator, by value.
#pragma once

#include <cstddef>
#include <utility>

namespace ascend_sim::opapi {

template <size_t kIndex, class T>
struct Argument {
  T value;
};

template <class Indices, class... T>
struct ArgumentsAt;

template <size_t... kIndex, class... T>
struct ArgumentsAt<std::index_sequence<kIndex...>, T...> : Argument<kIndex, T>... {
  // Calls a function with all of them.
  template <class Function>
  decltype(auto) Apply(Function&& function) {
    return function(static_cast<Argument<kIndex, T>&>(*this).value...);
  }
  template <class Function>
  decltype(auto) Apply(Function&& function) const {
    return function(static_cast<const Argument<kIndex, T>&>(*this).value...);
  }
};

// In place of std::tuple, whose layers each operator would instantiate anew: an Argument is
// compiled once for each place and type.
template <class... T>
using Arguments = ArgumentsAt<std::index_sequence_for<T...>, T...>;

}  // namespace ascend_sim::opapi
