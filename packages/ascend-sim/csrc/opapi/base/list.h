// SPDX-License-Identifier: Apache-2.0
//
// Lists as arguments of an operator.
#pragma once

#include <utility>
#include <vector>

#include "opapi/base/error.h"

namespace ascend_sim::opapi {

// A std::vector that rejects an index beyond its end (ParamError): the caller chooses the length of
// a list, and no call of an operator may end the process.
template <class T>
class List : public std::vector<T> {
  using Vector = std::vector<T>;

 public:
  using Vector::Vector;
  List() = default;
  List(Vector values) : Vector(std::move(values)) {}  // NOLINT: the same list, unchecked before

  decltype(auto) operator[](size_t index) { return Vector::operator[](Within(index)); }
  decltype(auto) operator[](size_t index) const { return Vector::operator[](Within(index)); }
  decltype(auto) front() { return (*this)[0]; }
  decltype(auto) front() const { return (*this)[0]; }
  decltype(auto) back() { return (*this)[this->size() - 1]; }
  decltype(auto) back() const { return (*this)[this->size() - 1]; }

 private:
  size_t Within(size_t index) const {
    Require(index < this->size(), "a list has ", this->size(), " elements: one is missing");
    return index;
  }
};

}  // namespace ascend_sim::opapi
