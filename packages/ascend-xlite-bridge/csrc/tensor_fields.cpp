// SPDX-License-Identifier: Apache-2.0
#include "tensor_fields.h"

#include <ATen/ops/empty.h>

#include <array>
#include <cstring>
#include <stdexcept>

namespace ascend_xlite_bridge {
namespace {

// Bytes from the sizes on: the number of dimensions, five sizes and five strides in place (more are
// behind a pointer in the first place), and the fields after them.
constexpr std::size_t kSizes = 8;
constexpr std::size_t kStrides = 48;
constexpr std::size_t kStorageOffset = 88;
constexpr std::size_t kNumel = 96;
constexpr std::size_t kDtype = 104;
constexpr std::size_t kDevice = 106;
constexpr std::size_t kKeys = 112;
constexpr std::size_t kInPlace = 5;
constexpr std::size_t kStorageField = 16;  // from the start

template <class T>
T Read(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::size_t MeasureSizesOffset() {
  const at::Tensor tensor = at::empty({3, 5, 7}, at::TensorOptions().dtype(at::kShort));
  const char* impl = reinterpret_cast<const char*>(tensor.unsafeGetTensorImpl());
  const char* sizes = reinterpret_cast<const char*>(tensor.sizes().data());
  const auto offset = static_cast<std::size_t>(sizes - impl) - kSizes;
  if (offset + kTailBytes != sizeof(c10::TensorImpl)) {
    throw std::runtime_error("a tensor has its sizes at " + std::to_string(offset) + " of " +
                             std::to_string(sizeof(c10::TensorImpl)) + " bytes");
  }
  if (const std::string field = DifferingField(impl, offset, tensor); !field.empty()) {
    throw std::runtime_error("the field '" + field +
                             "' of a tensor is not where it is known to be");
  }
  return offset;
}

std::string DifferingField(const void* impl, std::size_t sizes_offset, const at::Tensor& tensor) {
  const char* start = static_cast<const char*>(impl);
  const char* tail = start + sizes_offset;
  const auto dim = static_cast<std::size_t>(tensor.dim());
  if (Read<std::size_t>(tail) != dim) return "dim";
  const char* sizes = tail + kSizes;
  const char* strides = tail + kStrides;
  if (dim > kInPlace) {
    sizes = Read<const char*>(tail + kSizes);
    strides = sizes + dim * sizeof(int64_t);
  }
  for (std::size_t i = 0; i < dim; ++i) {
    if (Read<int64_t>(sizes + i * sizeof(int64_t)) != tensor.size(i)) return "sizes";
    if (Read<int64_t>(strides + i * sizeof(int64_t)) != tensor.stride(i)) return "strides";
  }
  if (Read<int64_t>(tail + kStorageOffset) != tensor.storage_offset()) return "storage_offset";
  if (Read<int64_t>(tail + kNumel) != tensor.numel()) return "numel";
  if (Read<uint16_t>(tail + kDtype) != static_cast<uint16_t>(tensor.scalar_type())) return "dtype";
  if (Read<int8_t>(tail + kDevice) != static_cast<int8_t>(tensor.device().type())) return "device";
  if (Read<int8_t>(tail + kDevice + 1) != tensor.device().index()) return "device index";
  if (Read<uint64_t>(tail + kKeys) != tensor.key_set().raw_repr()) return "key set";
  if (Read<void*>(start + kStorageField) != tensor.storage().unsafeGetStorageImpl())
    return "storage";
  return "";
}

}  // namespace ascend_xlite_bridge
