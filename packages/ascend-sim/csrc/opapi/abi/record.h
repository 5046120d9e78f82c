// SPDX-License-Identifier: Apache-2.0
//
// The arguments that operators are called with. The tests switch this on, and the documentation's
// table of operators is made from what it collects.
#pragma once

#include <atomic>
#include <initializer_list>
#include <string>

#include "opapi/abi/tensor.h"

namespace ascend_sim::opapi {

extern std::atomic<bool> recording;
inline bool Recording() { return recording.load(std::memory_order_relaxed); }

// "dtype:format:layout" of a tensor and those of a list's elements; "-" for a null handle, "." for
// anything else. The layout is "c" when dense in the order of its dimensions and "s" when strided.
std::string KindOf(const aclTensor* tensor);
std::string KindOf(const aclTensorList* tensors);
template <class T>
std::string KindOf(const T&) {
  return ".";
}

// Records one prepared call of `name`, with the kinds of its arguments.
void Record(const char* name, std::initializer_list<std::string> kinds);
template <class... C>
[[gnu::cold, gnu::noinline]] void RecordHandles(const char* name, C... handles) {
  Record(name, {KindOf(handles)...});
}
// Records that `name` rejected an argument only because a device would.
void RecordLimit(const char* name, const std::string& why);

}  // namespace ascend_sim::opapi
