// SPDX-License-Identifier: Apache-2.0
//
// The attributes of an operator by name.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

struct aclopAttr {
  using Value =
      std::variant<bool, int64_t, float, std::string, std::vector<bool>, std::vector<int64_t>,
                   std::vector<float>, std::vector<std::vector<int64_t>>>;
  std::map<std::string, Value> values;

  // The attribute's value if it was given with this type, else `otherwise`.
  template <class T>
  T Get(const std::string& name, T otherwise) const {
    const auto found = values.find(name);
    const T* value = found == values.end() ? nullptr : std::get_if<T>(&found->second);
    return value == nullptr ? otherwise : *value;
  }
};
