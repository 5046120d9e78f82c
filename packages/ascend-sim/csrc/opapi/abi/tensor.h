// SPDX-License-Identifier: Apache-2.0
//
// The handles of the aclnn ABI: tensors, scalars, arrays and lists that describe an operator's
// arguments.
//
// A handle is metadata only. The caller (torch_npu) destroys it right after the second phase of a
// call, so an executor never keeps one: it keeps at::Tensor views and values made from handles in
// the first phase.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ascend_sim/launch.h"
#include "opapi/abi/handle_pool.h"
#include "opapi/base/error.h"
#include "opapi/base/list.h"

namespace ascend_sim::opapi {

// Set while a handle is alive, so that a dangling or foreign pointer is rejected instead of read.
enum class HandleTag : uint32_t {
  kTensor = 0xA5C10001,
  kScalar = 0xA5C10002,
  kIntArray = 0xA5C10003,
  kFloatArray = 0xA5C10004,
  kBoolArray = 0xA5C10005,
  kTensorList = 0xA5C10006,
  kScalarList = 0xA5C10007,
  kExecutor = 0xA5C10008,
};
inline constexpr auto kFirstTag = HandleTag::kTensor, kLastTag = HandleTag::kExecutor;

// The pool of the handles with this tag: one for all libraries that take them. Never destroyed, as
// others may exit later.
ASCEND_SIM_EXPORT HandlePool& PoolOf(HandleTag tag);

// The base of a handle: it lives in the pool of its type, which can tell a handle from another
// pointer without following it.
template <HandleTag kTag>
struct Handle {
  HandleTag tag = kTag;
  static constexpr HandleTag kExpectedTag = kTag;
  ~Handle() { *const_cast<volatile HandleTag*>(&tag) = HandleTag{}; }

  static bool IsAlive(const void* handle) {
    return PoolOf(kTag).Owns(handle) && static_cast<const Handle*>(handle)->tag == kTag;
  }

  static void* operator new(size_t size) { return PoolOf(kTag).Take(size); }
  static void operator delete(void* handle) { PoolOf(kTag).Give(handle); }
};

// The torch dtype of an aclDataType code. Throws ParamError for codes that have none.
ASCEND_SIM_EXPORT at::ScalarType ScalarTypeOf(int32_t acl_type);

}  // namespace ascend_sim::opapi

struct aclTensor : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kTensor> {
  at::DimVector dims;
  at::DimVector strides;  // in elements
  at::DimVector storage_dims;
  int64_t offset = 0;  // in elements
  int32_t data_type = 0;
  int32_t format = 0;
  void* data = nullptr;
};

struct aclScalar : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kScalar> {
  at::Scalar value;
  int32_t data_type = 0;
};

struct aclIntArray : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kIntArray> {
  std::vector<int64_t> values;
};

struct aclFloatArray : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kFloatArray> {
  std::vector<float> values;
};

struct aclBoolArray : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kBoolArray> {
  std::vector<bool> values;
};

// Owns its elements, as in CANN: aclDestroyTensorList destroys them. An element may be null.
struct aclTensorList : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kTensorList> {
  std::vector<const aclTensor*> items;
};

struct aclScalarList : ascend_sim::opapi::Handle<ascend_sim::opapi::HandleTag::kScalarList> {
  std::vector<const aclScalar*> items;
};

namespace ascend_sim::opapi {

// The handle itself if it is alive; throws ParamError otherwise. `what` names the argument in the
// text.
template <class H>
const H& Alive(const H* handle, const char* what) {
  if (handle == nullptr) throw ParamError(kParamNull, std::string(what) + " is null");
  if (!H::IsAlive(handle)) {
    throw ParamError(kParamInvalid, std::string(what) + " is not a live handle of its type");
  }
  return *handle;
}

// A CPU tensor over the handle's device memory: no copy, not resizable, does not own the memory.
// Rejects a view with an element outside its storage or outside memory that the device can reach.
ASCEND_SIM_EXPORT at::Tensor ViewOf(const aclTensor& handle);

// Likewise for numbers in the caller's host memory; they may be freed when the call returns.
ASCEND_SIM_EXPORT at::Tensor HostViewOf(const aclTensor& handle);

// A tensor like a view of device memory, but of zeros in its own memory. Throws std::bad_alloc if
// that would be too much.
at::Tensor Blank(const at::Tensor& view);

}  // namespace ascend_sim::opapi
