// SPDX-License-Identifier: Apache-2.0
//
// Descriptions of the operands of operators by name (libacl_op_compiler).
#include "ascend_sim/operand.h"

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/launch.h"

using namespace ascend_sim;

namespace {

aclError FailNull(const char* call) { return Fail(kInvalidParam, call, "an argument is null"); }

}  // namespace

ASCEND_SIM_ABI aclTensorDesc* aclCreateTensorDesc(int32_t data_type, int rank, const int64_t* sizes,
                                                  int32_t format) {
  if (rank < 0 || (rank > 0 && sizes == nullptr)) {
    Fail(kInvalidParam, "aclCreateTensorDesc", "dims is null or their number is negative");
    return nullptr;
  }
  auto* const desc = new aclTensorDesc;
  desc->data_type = data_type;
  desc->format = desc->storage_format = format;
  if (rank > 0) desc->sizes.assign(sizes, sizes + rank);
  desc->storage_sizes = desc->sizes;
  return desc;
}

ASCEND_SIM_ABI void aclDestroyTensorDesc(const aclTensorDesc* desc) { delete desc; }

ASCEND_SIM_ABI aclError aclSetTensorFormat(aclTensorDesc* desc, int32_t format) {
  if (desc == nullptr) return FailNull("aclSetTensorFormat");
  desc->storage_format = format;
  return kSuccess;
}

ASCEND_SIM_ABI aclError aclSetTensorShape(aclTensorDesc* desc, int rank, const int64_t* sizes) {
  if (desc == nullptr || rank < 0 || (rank > 0 && sizes == nullptr)) {
    return FailNull("aclSetTensorShape");
  }
  desc->storage_sizes.clear();
  if (rank > 0) desc->storage_sizes.assign(sizes, sizes + rank);
  return kSuccess;
}

ASCEND_SIM_ABI aclError aclSetTensorPlaceMent(aclTensorDesc* desc, int32_t placement) {
  if (desc == nullptr) return FailNull("aclSetTensorPlaceMent");
  desc->placement = placement;
  return kSuccess;
}

ASCEND_SIM_ABI void aclSetTensorDescName(aclTensorDesc* desc, const char* name) {
  if (desc != nullptr && name != nullptr) desc->name = name;
}

ASCEND_SIM_ABI int32_t aclGetTensorDescType(const aclTensorDesc* desc) {
  return desc == nullptr ? -1 : desc->data_type;
}

ASCEND_SIM_ABI int32_t aclGetTensorDescFormat(const aclTensorDesc* desc) {
  return desc == nullptr ? -1 : desc->format;
}

ASCEND_SIM_ABI size_t aclGetTensorDescNumDims(const aclTensorDesc* desc) {
  return desc == nullptr ? 0 : desc->sizes.size();
}

ASCEND_SIM_ABI aclError aclGetTensorDescDimV2(const aclTensorDesc* desc, size_t index,
                                              int64_t* size) {
  if (desc == nullptr || size == nullptr) return FailNull("aclGetTensorDescDimV2");
  if (index >= desc->sizes.size()) {
    return Fail(kInvalidParam, "aclGetTensorDescDimV2", "index is beyond the dimensions");
  }
  *size = desc->sizes[index];
  return kSuccess;
}

ASCEND_SIM_ABI aclDataBuffer* aclCreateDataBuffer(void* data, size_t bytes) {
  return new aclDataBuffer{data, bytes};
}

ASCEND_SIM_ABI aclError aclDestroyDataBuffer(const aclDataBuffer* buffer) {
  if (buffer == nullptr) return FailNull("aclDestroyDataBuffer");
  delete buffer;
  return kSuccess;
}
