// SPDX-License-Identifier: Apache-2.0
//
// libacl_op_compiler, options: torch_npu reads the default of one (compile operators just in time)
// when it starts and sets others. They are kept; nothing depends on them, because nothing is
// compiled: the name of an operator chooses a function (operators.h).
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {
namespace {

constexpr int kOpJitCompile = 10;

class CompileOptions {
 public:
  void Set(int option, const char* value) {
    const std::lock_guard lock(mutex_);
    values_[option] = value;
  }

  // Empty when the option has no value.
  std::string Get(int option) {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(option);
    return found == values_.end() ? std::string() : found->second;
  }

 private:
  std::mutex mutex_;
  // The chips that are simulated come with compiled operators: no compilation at run time.
  std::map<int, std::string> values_{{kOpJitCompile, "disable"}};
};

CompileOptions& Options() {
  static auto* const options = new CompileOptions;  // never destroyed: used until the process ends
  return *options;
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclSetCompileopt(int option, const char* value) {
  if (value == nullptr) return Fail(kInvalidParam, "aclSetCompileopt", "value is null");
  Options().Set(option, value);
  return kSuccess;
}

// The bytes that aclGetCompileopt needs, with the final zero; 0 when the option has no value.
ASCEND_SIM_ABI size_t aclGetCompileoptSize(int option) {
  const size_t length = Options().Get(option).size();
  return length == 0 ? 0 : length + 1;
}

ASCEND_SIM_ABI aclError aclGetCompileopt(int option, char* value, size_t length) {
  if (value == nullptr) return Fail(kInvalidParam, "aclGetCompileopt", "value is null");
  const std::string text = Options().Get(option);
  if (text.empty()) return Fail(kInvalidParam, "aclGetCompileopt", "the option has no value");
  if (length <= text.size()) return Fail(kInvalidParam, "aclGetCompileopt", "value is too short");
  std::memcpy(value, text.c_str(), text.size() + 1);
  return kSuccess;
}
