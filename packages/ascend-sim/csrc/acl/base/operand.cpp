// SPDX-License-Identifier: Apache-2.0
//
// Descriptions of the operands of operators by name (libacl_op_compiler).
#include "ascend_sim/operand.h"

#include <mutex>
#include <set>

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/call.h"
#include "ascend_sim/launch.h"

using namespace ascend_sim;

namespace {

constexpr int kMaxDims = 128;  // ACL_MAX_DIM_CNT

// The objects that callers hold, to recognize a pointer that is not one of them. Safe from any
// thread.
template <class T>
class Objects {
 public:
  T* Add(T* object) {
    const std::lock_guard lock(mutex_);
    alive_.insert(object);
    return object;
  }
  bool Has(const T* object) {
    const std::lock_guard lock(mutex_);
    return alive_.contains(object);
  }
  bool Delete(const T* object) {
    const std::lock_guard lock(mutex_);
    if (alive_.erase(object) == 0) return false;
    delete object;
    return true;
  }

 private:
  std::mutex mutex_;
  std::set<const T*> alive_;
};

// Never destroyed: callers may free what they hold when the process ends.
auto& Descs() {
  static auto* const descs = new Objects<aclTensorDesc>;
  return *descs;
}
auto& Buffers() {
  static auto* const buffers = new Objects<aclDataBuffer>;
  return *buffers;
}

int Refuse(const char* call, const char* why) { return Fail(kInvalidParam, call, why); }

bool AreDims(int rank, const int64_t* sizes) {
  return rank >= 0 && rank <= kMaxDims && (rank == 0 || sizes != nullptr);
}
constexpr const char* kNoDims = "dims is null, or their number is not from 0 to 128";

// Runs `body(*desc)`, the function `call`, if `desc` is a live description.
template <class Body>
int WithDesc(const char* call, const aclTensorDesc* desc, Body&& body) {
  return Call(call, [&]() noexcept {
    if (!Descs().Has(desc)) return Refuse(call, "desc is null or not a live description");
    return body(*const_cast<aclTensorDesc*>(desc));
  });
}

}  // namespace

ASCEND_SIM_ABI aclTensorDesc* aclCreateTensorDesc(int32_t data_type, int rank, const int64_t* sizes,
                                                  int32_t format) {
  aclTensorDesc* made = nullptr;
  Call("aclCreateTensorDesc", [&]() noexcept {
    if (!AreDims(rank, sizes)) return Refuse("aclCreateTensorDesc", kNoDims);
    auto* const desc = new aclTensorDesc;
    desc->data_type = data_type;
    desc->format = desc->storage_format = format;
    if (rank > 0) desc->sizes.assign(sizes, sizes + rank);
    desc->storage_sizes = desc->sizes;
    made = Descs().Add(desc);
    return static_cast<int>(kSuccess);
  });
  return made;
}

ASCEND_SIM_ABI void aclDestroyTensorDesc(const aclTensorDesc* desc) {
  Call("aclDestroyTensorDesc", [&]() noexcept {
    Descs().Delete(desc);
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI aclError aclSetTensorFormat(aclTensorDesc* desc, int32_t format) {
  return WithDesc("aclSetTensorFormat", desc, [&](aclTensorDesc& it) noexcept {
    it.storage_format = format;
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI aclError aclSetTensorShape(aclTensorDesc* desc, int rank, const int64_t* sizes) {
  return WithDesc("aclSetTensorShape", desc, [&](aclTensorDesc& it) noexcept {
    if (!AreDims(rank, sizes)) return Refuse("aclSetTensorShape", kNoDims);
    it.storage_sizes.clear();
    if (rank > 0) it.storage_sizes.assign(sizes, sizes + rank);
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI aclError aclSetTensorPlaceMent(aclTensorDesc* desc, int32_t placement) {
  return WithDesc("aclSetTensorPlaceMent", desc, [&](aclTensorDesc& it) noexcept {
    it.placement = placement;
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI void aclSetTensorDescName(aclTensorDesc* desc, const char* name) {
  WithDesc("aclSetTensorDescName", desc, [&](aclTensorDesc& it) noexcept {
    if (name != nullptr) it.name = name;
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI int32_t aclGetTensorDescType(const aclTensorDesc* desc) {
  int32_t type = -1;
  WithDesc("aclGetTensorDescType", desc, [&](aclTensorDesc& it) noexcept {
    type = it.data_type;
    return static_cast<int>(kSuccess);
  });
  return type;
}

ASCEND_SIM_ABI int32_t aclGetTensorDescFormat(const aclTensorDesc* desc) {
  int32_t format = -1;
  WithDesc("aclGetTensorDescFormat", desc, [&](aclTensorDesc& it) noexcept {
    format = it.format;
    return static_cast<int>(kSuccess);
  });
  return format;
}

ASCEND_SIM_ABI size_t aclGetTensorDescNumDims(const aclTensorDesc* desc) {
  size_t rank = 0;
  WithDesc("aclGetTensorDescNumDims", desc, [&](aclTensorDesc& it) noexcept {
    rank = it.sizes.size();
    return static_cast<int>(kSuccess);
  });
  return rank;
}

ASCEND_SIM_ABI aclError aclGetTensorDescDimV2(const aclTensorDesc* desc, size_t index,
                                              int64_t* size) {
  return WithDesc("aclGetTensorDescDimV2", desc, [&](aclTensorDesc& it) noexcept {
    if (size == nullptr) return Refuse("aclGetTensorDescDimV2", "dimSize is null");
    if (index >= it.sizes.size()) {
      return Refuse("aclGetTensorDescDimV2", "index is beyond the dimensions");
    }
    *size = it.sizes[index];
    return static_cast<int>(kSuccess);
  });
}

ASCEND_SIM_ABI aclDataBuffer* aclCreateDataBuffer(void* data, size_t bytes) {
  aclDataBuffer* made = nullptr;
  Call("aclCreateDataBuffer", [&]() noexcept {
    made = Buffers().Add(new aclDataBuffer{data, bytes});
    return static_cast<int>(kSuccess);
  });
  return made;
}

ASCEND_SIM_ABI aclError aclDestroyDataBuffer(const aclDataBuffer* buffer) {
  return Call("aclDestroyDataBuffer", [&]() noexcept {
    if (Buffers().Delete(buffer)) return static_cast<int>(kSuccess);
    return Refuse("aclDestroyDataBuffer", "dataBuffer is null or not a live buffer");
  });
}
