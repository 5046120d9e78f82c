// SPDX-License-Identifier: Apache-2.0
//
// What introspection of a graph tells of a task beyond its kind. Travels with a launch.
#pragma once

#include <cstdint>
#include <variant>

namespace ascend_sim {

// A value write, or a value wait with its condition.
struct ValueDetail {
  uint64_t* word = nullptr;
  uint64_t value = 0;
  uint32_t flag = 0;
};

struct EventDetail {
  void* event = nullptr;  // the handle, which may be stale by the time somebody asks
  uint32_t flags = 0;     // of its creation
  bool external = false;  // recorded or awaited with the external flag
};

using TaskDetail = std::variant<std::monostate, ValueDetail, EventDetail>;

}  // namespace ascend_sim
