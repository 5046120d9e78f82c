// SPDX-License-Identifier: Apache-2.0
//
// libacl_op_compiler, system parameters of the process and of a context, such as whether operators
// must be deterministic. They are kept and given back; nothing depends on them, because every
// operator here is deterministic.
#include <cstdint>
#include <map>
#include <mutex>

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/launch.h"

extern "C" aclError aclrtGetCurrentContext(aclrtContext* context);

namespace ascend_sim {
namespace {

class SystemParameters {
 public:
  void Set(aclrtContext context, int option, int64_t value) {
    const std::lock_guard lock(mutex_);
    values_[{context, option}] = value;
  }

  // 0, which is "off", unless set.
  int64_t Get(aclrtContext context, int option) {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find({context, option});
    return found == values_.end() ? 0 : found->second;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<aclrtContext, int>, int64_t> values_;  // null stands for the process
};

SystemParameters& Parameters() {
  static auto* const parameters = new SystemParameters;  // never destroyed: used until the end
  return *parameters;
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtSetSysParamOpt(int option, int64_t value) {
  Parameters().Set(nullptr, option, value);
  return kSuccess;
}

ASCEND_SIM_ABI aclError aclrtGetSysParamOpt(int option, int64_t* value) {
  if (value == nullptr) return Fail(kInvalidParam, "aclrtGetSysParamOpt", "value is null");
  *value = Parameters().Get(nullptr, option);
  return kSuccess;
}

ASCEND_SIM_ABI aclError aclrtCtxSetSysParamOpt(int option, int64_t value) {
  aclrtContext context = nullptr;
  if (const aclError code = aclrtGetCurrentContext(&context); code != kSuccess) return code;
  Parameters().Set(context, option, value);
  return kSuccess;
}

ASCEND_SIM_ABI aclError aclrtCtxGetSysParamOpt(int option, int64_t* value) {
  if (value == nullptr) return Fail(kInvalidParam, "aclrtCtxGetSysParamOpt", "value is null");
  aclrtContext context = nullptr;
  if (const aclError code = aclrtGetCurrentContext(&context); code != kSuccess) return code;
  *value = Parameters().Get(context, option);
  return kSuccess;
}
