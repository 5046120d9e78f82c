// SPDX-License-Identifier: Apache-2.0
#include "opapi/abi/record.h"

#include <mutex>
#include <set>

namespace ascend_sim::opapi {

std::atomic<bool> recording = false;

namespace {

struct Log {
  std::mutex mutex;
  std::set<std::string> lines;  // each once
  std::string taken;            // what the last caller of ascendSimTakeRecord reads
};

Log& TheLog() {
  static auto* const log = new Log;
  return *log;
}

void Add(std::string line) {
  Log& log = TheLog();
  const std::lock_guard lock(log.mutex);
  log.lines.insert(std::move(line));
}

bool IsDense(const aclTensor& tensor) {
  int64_t step = 1;
  for (size_t i = tensor.dims.size(); i-- > 0; step *= tensor.dims[i]) {
    if (tensor.dims[i] != 1 && tensor.strides[i] != step) return false;
  }
  return true;
}

}  // namespace

std::string KindOf(const aclTensor* tensor) {
  if (tensor == nullptr) return "-";
  return std::to_string(tensor->data_type) + ":" + std::to_string(tensor->format) + ":" +
         (IsDense(*tensor) ? "c" : "s");
}

std::string KindOf(const aclTensorList* tensors) {
  if (tensors == nullptr || tensors->items.empty()) return "-";
  std::string kinds;
  for (const auto* item : tensors->items) kinds += (kinds.empty() ? "" : ",") + KindOf(item);
  return kinds;
}

void Record(const char* name, std::initializer_list<std::string> kinds) {
  std::string line = name;
  for (const auto& kind : kinds) line += " " + kind;
  Add(std::move(line));
}

void RecordLimit(const char* name, const std::string& why) { Add(std::string(name) + " ! " + why); }

}  // namespace ascend_sim::opapi

// For the tests: starts or stops recording.
extern "C" [[gnu::visibility("default")]] void ascendSimRecordOperators(bool on) {
  ascend_sim::opapi::recording = on;
}

// For the tests: what was recorded since the last call, one line per distinct call: the operator
// and the kinds of its arguments, or "!" and the limit that refused one. Valid until the next call.
extern "C" [[gnu::visibility("default")]] const char* ascendSimTakeRecord() {
  using namespace ascend_sim::opapi;
  Log& log = TheLog();
  const std::lock_guard lock(log.mutex);
  log.taken.clear();
  for (const auto& line : log.lines) log.taken += line + "\n";
  log.lines.clear();
  return log.taken.c_str();
}
