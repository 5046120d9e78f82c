// SPDX-License-Identifier: Apache-2.0
#include "acl_op_compiler/attributes.h"

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/launch.h"

using namespace ascend_sim;

namespace {

template <class T>
aclError Set(const char* call, aclopAttr* attributes, const char* name, T&& value) {
  if (attributes == nullptr || name == nullptr) {
    return Fail(kInvalidParam, call, "an argument is null");
  }
  attributes->values.insert_or_assign(name, std::forward<T>(value));
  return kSuccess;
}

template <class T, class In>
aclError SetList(const char* call, aclopAttr* attributes, const char* name, int count,
                 const In* values) {
  if (count < 0 || (count > 0 && values == nullptr)) {
    return Fail(kInvalidParam, call, "values is null or their number is negative");
  }
  return Set(call, attributes, name, std::vector<T>(values, values + count));
}

}  // namespace

ASCEND_SIM_ABI aclopAttr* aclopCreateAttr() { return new aclopAttr; }

ASCEND_SIM_ABI void aclopDestroyAttr(const aclopAttr* attributes) { delete attributes; }

ASCEND_SIM_ABI aclError aclopSetAttrBool(aclopAttr* attributes, const char* name, uint8_t value) {
  return Set("aclopSetAttrBool", attributes, name, value != 0);
}

ASCEND_SIM_ABI aclError aclopSetAttrInt(aclopAttr* attributes, const char* name, int64_t value) {
  return Set("aclopSetAttrInt", attributes, name, value);
}

ASCEND_SIM_ABI aclError aclopSetAttrFloat(aclopAttr* attributes, const char* name, float value) {
  return Set("aclopSetAttrFloat", attributes, name, value);
}

ASCEND_SIM_ABI aclError aclopSetAttrString(aclopAttr* attributes, const char* name,
                                           const char* value) {
  return Set("aclopSetAttrString", attributes, name, std::string(value == nullptr ? "" : value));
}

ASCEND_SIM_ABI aclError aclopSetAttrDataType(aclopAttr* attributes, const char* name,
                                             int32_t value) {
  return Set("aclopSetAttrDataType", attributes, name, int64_t{value});
}

ASCEND_SIM_ABI aclError aclopSetAttrListBool(aclopAttr* attributes, const char* name, int count,
                                             const uint8_t* values) {
  return SetList<bool>("aclopSetAttrListBool", attributes, name, count, values);
}

ASCEND_SIM_ABI aclError aclopSetAttrListInt(aclopAttr* attributes, const char* name, int count,
                                            const int64_t* values) {
  return SetList<int64_t>("aclopSetAttrListInt", attributes, name, count, values);
}

ASCEND_SIM_ABI aclError aclopSetAttrListFloat(aclopAttr* attributes, const char* name, int count,
                                              const float* values) {
  return SetList<float>("aclopSetAttrListFloat", attributes, name, count, values);
}

ASCEND_SIM_ABI aclError aclopSetAttrListListInt(aclopAttr* attributes, const char* name, int count,
                                                const int* sizes, const int64_t* const values[]) {
  if (count < 0 || (count > 0 && (sizes == nullptr || values == nullptr))) {
    return Fail(kInvalidParam, "aclopSetAttrListListInt",
                "values is null or their number is negative");
  }
  std::vector<std::vector<int64_t>> lists(count);
  for (int i = 0; i < count; ++i) lists[i].assign(values[i], values[i] + sizes[i]);
  return Set("aclopSetAttrListListInt", attributes, name, std::move(lists));
}
