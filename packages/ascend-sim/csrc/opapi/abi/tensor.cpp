// SPDX-License-Identifier: Apache-2.0
#include "opapi/abi/tensor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "ascend_sim/launch.h"
#include "ascend_sim/memory.h"
#include "opapi/abi/format.h"

#define ASCEND_SIM_API extern "C" __attribute__((visibility("default")))

namespace ascend_sim::opapi {
namespace {

constexpr uint64_t kMaxDims = 64;  // of ATen's iterators

at::Scalar ReadScalar(const void* value, at::ScalarType type) {
  switch (type) {
#define ASCEND_SIM_READ(ctype, name) \
  case at::ScalarType::name:         \
    return *static_cast<const ctype*>(value);
    AT_FORALL_SCALAR_TYPES_WITH_COMPLEX_EXCEPT_COMPLEX_HALF_F8NZ(ASCEND_SIM_READ)
#undef ASCEND_SIM_READ
    default:
      throw ParamError(kParamInvalid, std::string("no scalar of type ") + c10::toString(type));
  }
}

// Creates a handle; on a bad argument leaves the text for aclGetRecentErrMsg and returns null, as
// CANN does.
template <class H, class Fill>
H* Create(const char* call, Fill&& fill) noexcept {
  try {
    auto handle = std::make_unique<H>();
    fill(*handle);
    return handle.release();
  } catch (const ParamError& error) {
    Fail(error.code, call, error.what());
  } catch (const std::exception& error) {
    Fail(kInnerError, call, error.what());
  }
  return nullptr;
}

template <class H>
int Destroy(const char* call, const H* handle) noexcept {
  if (handle == nullptr) return kSuccess;
  if (!H::IsAlive(handle)) return Fail(kParamInvalid, call, "not a live handle");
  delete handle;
  return kSuccess;
}

template <class Values, class T>
void Assign(Values& values, const T* data, uint64_t size, const char* what) {
  if (data == nullptr && size > 0) throw ParamError(kParamNull, std::string(what) + " is null");
  values.assign(data, data + size);
}

// A view that cannot be resized: an output with the wrong shape must be an error, never a resize
// that leaves device memory unwritten and the caller with the old shape.
class FixedView : public c10::TensorImpl {
 public:
  FixedView(c10::Storage&& storage, at::ScalarType type, at::IntArrayRef sizes,
            at::IntArrayRef strides)
      : TensorImpl(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU),
                   c10::scalarTypeToTypeMeta(type)) {
    set_sizes_and_strides(sizes, strides);
    allow_tensor_metadata_change_ = false;  // the setter of this name only ever sets true
  }
};

// Elements from the first to the last one of a view, gaps included; 0 if it has none. All of them
// are in the view's storage, and whatever ATen computes from sizes fits an int64.
int64_t Extent(const aclTensor& view, int64_t item_size) {
  constexpr int64_t kMax = int64_t{1} << 40;  // bytes: more than any device has
  int64_t extent = 1, elements = 1;
  bool empty = false, fits = view.offset >= 0;
  for (size_t i = 0; i < view.dims.size(); ++i) {
    int64_t span = 0;
    Require(view.strides[i] >= 0, "a tensor has a negative stride: ", view.strides);
    if (view.dims[i] == 0) {
      empty = true;
      continue;
    }
    fits = fits && !__builtin_mul_overflow(view.dims[i] - 1, view.strides[i], &span) &&
           !__builtin_add_overflow(extent, span, &extent) &&
           !__builtin_mul_overflow(elements, view.dims[i], &elements);
  }
  Require(fits && extent <= kMax / item_size && elements <= kMax / item_size &&
              view.offset <= kMax / item_size - extent,
          "no memory holds a tensor with shape ", view.dims, ", strides ", view.strides,
          " and offset ", view.offset);
  if (empty) return 0;
  if (!view.storage_dims.empty()) {
    int64_t stored = 1;
    for (const auto dim : view.storage_dims) {
      Require(dim >= 0 && !__builtin_mul_overflow(stored, dim, &stored),
              "a tensor has the storage shape ", view.storage_dims);
    }
    Require(view.offset + extent <= stored, "a tensor with shape ", view.dims, ", strides ",
            view.strides, " and offset ", view.offset, " exceeds its storage of ", stored,
            " elements");
  }
  return extent;
}

}  // namespace

at::ScalarType ScalarTypeOf(int32_t acl_type) {
  switch (acl_type) {
    case 0:
      return at::kFloat;
    case 1:
      return at::kHalf;
    case 2:
      return at::kChar;
    case 3:
      return at::kInt;
    case 4:
      return at::kByte;
    case 6:
      return at::kShort;
    case 7:
      return at::kUInt16;
    case 8:
      return at::kUInt32;
    case 9:
      return at::kLong;
    case 10:
      return at::kUInt64;
    case 11:
      return at::kDouble;
    case 12:
      return at::kBool;
    case 16:
      return at::kComplexFloat;
    case 17:
      return at::kComplexDouble;
    case 27:
      return at::kBFloat16;
    case 33:
      return at::kComplexHalf;
    case 35:
      return at::kFloat8_e5m2;
    case 36:
      return at::kFloat8_e4m3fn;
    default:
      throw ParamError(kParamInvalid,
                       "data type " + std::to_string(acl_type) + " is not supported");
  }
}

HandlePool& PoolOf(HandleTag tag) {
  constexpr auto place = [](HandleTag tag) {
    return static_cast<size_t>(tag) - static_cast<size_t>(kFirstTag);
  };
  static auto* const pools = new HandlePool[place(kLastTag) + 1];
  return pools[place(tag)];
}

at::Tensor HostViewOf(const aclTensor& handle) {
  Require(IsPlainFormat(handle.format), "a tensor has the private format ", handle.format,
          handle.format == kFormatNz ? " (FRACTAL_NZ)" : "",
          ", where the operator takes plain ones (ND) only; torch_npu.npu_format_cast changes it");
  const auto type = ScalarTypeOf(handle.data_type);
  const auto item_size = static_cast<int64_t>(c10::elementSize(type));
  const int64_t extent = Extent(handle, item_size);
  auto* first = static_cast<char*>(handle.data) + handle.offset * item_size;
  if (extent > 0 && handle.data == nullptr) throw ParamError(kParamNull, "a tensor has no data");
  c10::Storage storage(c10::Storage::use_byte_size_t(), extent * item_size,
                       c10::DataPtr(extent > 0 ? first : nullptr, c10::Device(at::kCPU)),
                       /*allocator=*/nullptr, /*resizable=*/false);
  return at::detail::make_tensor<FixedView>(std::move(storage), type, handle.dims, handle.strides);
}

at::Tensor ViewOf(const aclTensor& handle) {
  auto view = HostViewOf(handle);
  Require(DeviceCanReach(view.const_data_ptr(), view.storage().nbytes()), "the ",
          view.storage().nbytes() / view.element_size(),
          " elements from the first to the last of a tensor with shape ", handle.dims,
          " are not all in device memory");
  return view;
}

at::Tensor Blank(const at::Tensor& view) {
  if (!view.defined()) return view;
  constexpr size_t kMuch = size_t{1} << 30;  // bytes
  const size_t bytes = view.storage().nbytes();
  if (bytes > kMuch) throw std::bad_alloc();
  const auto memory = at::empty({static_cast<int64_t>(bytes)}, at::kByte);
  std::memset(memory.mutable_data_ptr(), 0, bytes);
  return at::detail::make_tensor<FixedView>(c10::Storage(memory.storage()), view.scalar_type(),
                                            view.sizes(), view.strides());
}

}  // namespace ascend_sim::opapi

using namespace ascend_sim::opapi;  // the C ABI below is this library's public face
using ascend_sim::Fail;

ASCEND_SIM_API aclTensor* aclCreateTensor(const int64_t* view_dims, uint64_t view_dims_num,
                                          int32_t data_type, const int64_t* strides, int64_t offset,
                                          int32_t format, const int64_t* storage_dims,
                                          uint64_t storage_dims_num, void* data) {
  return Create<aclTensor>("aclCreateTensor", [&](aclTensor& handle) {
    Require(view_dims_num <= kMaxDims && storage_dims_num <= kMaxDims, "a tensor has ",
            std::max(view_dims_num, storage_dims_num), " dimensions: ", kMaxDims, " are the most");
    Assign(handle.dims, view_dims, view_dims_num, "viewDims");
    if (strides != nullptr) {
      handle.strides.assign(strides, strides + view_dims_num);
    } else {  // contiguous
      handle.strides.resize(view_dims_num);
      int64_t step = 1;
      for (size_t i = view_dims_num; i-- > 0; step *= handle.dims[i]) handle.strides[i] = step;
    }
    Assign(handle.storage_dims, storage_dims, storage_dims_num, "storageDims");
    for (const auto dim : handle.dims) {
      if (dim < 0) throw ParamError(kParamInvalid, "viewDims has a negative size");
    }
    handle.offset = offset;
    handle.data_type = data_type;
    handle.format = format;
    handle.data = data;
  });
}

ASCEND_SIM_API aclScalar* aclCreateScalar(void* value, int32_t data_type) {
  return Create<aclScalar>("aclCreateScalar", [&](aclScalar& handle) {
    if (value == nullptr) throw ParamError(kParamNull, "value is null");
    handle.value = ReadScalar(value, ScalarTypeOf(data_type));
    handle.data_type = data_type;
  });
}

ASCEND_SIM_API aclIntArray* aclCreateIntArray(const int64_t* value, uint64_t size) {
  return Create<aclIntArray>("aclCreateIntArray", [&](aclIntArray& handle) {
    Assign(handle.values, value, size, "value");
  });
}

ASCEND_SIM_API aclFloatArray* aclCreateFloatArray(const float* value, uint64_t size) {
  return Create<aclFloatArray>("aclCreateFloatArray", [&](aclFloatArray& handle) {
    Assign(handle.values, value, size, "value");
  });
}

ASCEND_SIM_API aclBoolArray* aclCreateBoolArray(const bool* value, uint64_t size) {
  return Create<aclBoolArray>("aclCreateBoolArray", [&](aclBoolArray& handle) {
    Assign(handle.values, value, size, "value");
  });
}

ASCEND_SIM_API aclTensorList* aclCreateTensorList(const aclTensor* const* value, uint64_t size) {
  return Create<aclTensorList>("aclCreateTensorList", [&](aclTensorList& handle) {
    Assign(handle.items, value, size, "value");
  });
}

ASCEND_SIM_API aclScalarList* aclCreateScalarList(const aclScalar* const* value, uint64_t size) {
  return Create<aclScalarList>("aclCreateScalarList", [&](aclScalarList& handle) {
    Assign(handle.items, value, size, "value");
  });
}

ASCEND_SIM_API int aclDestroyTensor(const aclTensor* handle) {
  return Destroy("aclDestroyTensor", handle);
}

ASCEND_SIM_API int aclDestroyScalar(const aclScalar* handle) {
  return Destroy("aclDestroyScalar", handle);
}

ASCEND_SIM_API int aclDestroyIntArray(const aclIntArray* handle) {
  return Destroy("aclDestroyIntArray", handle);
}

ASCEND_SIM_API int aclDestroyFloatArray(const aclFloatArray* handle) {
  return Destroy("aclDestroyFloatArray", handle);
}

ASCEND_SIM_API int aclDestroyBoolArray(const aclBoolArray* handle) {
  return Destroy("aclDestroyBoolArray", handle);
}

ASCEND_SIM_API int aclDestroyTensorList(const aclTensorList* handle) {
  if (aclTensorList::IsAlive(handle)) {
    for (const auto* item : handle->items) Destroy("aclDestroyTensorList", item);
  }
  return Destroy("aclDestroyTensorList", handle);
}

ASCEND_SIM_API int aclDestroyScalarList(const aclScalarList* handle) {
  if (aclScalarList::IsAlive(handle)) {
    for (const auto* item : handle->items) Destroy("aclDestroyScalarList", item);
  }
  return Destroy("aclDestroyScalarList", handle);
}

// The caller frees *dims with delete[], as torch_npu does.
ASCEND_SIM_API int aclGetViewShape(const aclTensor* handle, int64_t** dims, uint64_t* dims_num) {
  if (handle == nullptr || dims == nullptr || dims_num == nullptr) {
    return Fail(kParamNull, "aclGetViewShape", "an argument is null");
  }
  if (!aclTensor::IsAlive(handle)) {
    return Fail(kParamInvalid, "aclGetViewShape", "not a live tensor handle");
  }
  *dims_num = handle->dims.size();
  *dims = new int64_t[handle->dims.size()];
  std::copy(handle->dims.begin(), handle->dims.end(), *dims);
  return kSuccess;
}

ASCEND_SIM_API int aclGetDataType(const aclTensor* handle, int32_t* data_type) {
  if (handle == nullptr || data_type == nullptr) {
    return Fail(kParamNull, "aclGetDataType", "an argument is null");
  }
  if (!aclTensor::IsAlive(handle)) {
    return Fail(kParamInvalid, "aclGetDataType", "not a live handle of its type");
  }
  *data_type = handle->data_type;
  return kSuccess;
}

ASCEND_SIM_API int aclGetIntArraySize(const aclIntArray* handle, uint64_t* size) {
  if (handle == nullptr || size == nullptr) {
    return Fail(kParamNull, "aclGetIntArraySize", "an argument is null");
  }
  if (!aclIntArray::IsAlive(handle)) {
    return Fail(kParamInvalid, "aclGetIntArraySize", "not a live handle of its type");
  }
  *size = handle->values.size();
  return kSuccess;
}

ASCEND_SIM_API int aclGetTensorListSize(const aclTensorList* handle, uint64_t* size) {
  if (handle == nullptr || size == nullptr) {
    return Fail(kParamNull, "aclGetTensorListSize", "an argument is null");
  }
  if (!aclTensorList::IsAlive(handle)) {
    return Fail(kParamInvalid, "aclGetTensorListSize", "not a live handle of its type");
  }
  *size = handle->items.size();
  return kSuccess;
}
