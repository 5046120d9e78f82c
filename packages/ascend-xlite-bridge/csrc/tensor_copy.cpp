// SPDX-License-Identifier: Apache-2.0
#include "tensor_copy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/core/UndefinedTensorImpl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "tensor_fields.h"

namespace ascend_xlite_bridge {
namespace {

constexpr std::size_t kSizesOffset = 64;  // of torch 2.10
constexpr std::size_t kBytes = kSizesOffset + kTailBytes;
constexpr uint64_t kOneOwner = (uint64_t{1} << 32) | 1;  // weak count, strong count

// Entries of the virtual table of torch 2.10's TensorImpl: two destructors, the release of
// resources by the last strong owner, and storage(). The code calls the others only for what
// MakeHandle refuses.
constexpr std::size_t kEntries = 64;
constexpr std::size_t kReleaseEntry = 2;
constexpr std::size_t kStorageEntry = 23;

using Entry = void (*)();
extern const std::array<Entry, kEntries> table;

struct Copy {
  const Entry* entries;
  std::atomic<uint64_t> owners;
  std::array<char, kBytes - 16> fields;
  at::Tensor tensor;
  c10::Storage storage;  // what `fields` points to, should the tensor get another one
};

std::atomic<int64_t> alive{0};

void Destroy(Copy* copy) {
  delete copy;
  alive.fetch_sub(1, std::memory_order_relaxed);
}

void ReleaseResources(Copy*) {}  // all are released with the copy

const void* StorageOf(const Copy* copy) { return reinterpret_cast<const char*>(copy) + 16; }

[[noreturn]] void Refuse() {
  std::fputs(
      "ascend-xlite-bridge: the extension of xlite called a function of a tensor that no known "
      "build calls; its file and its checksum do not belong together.\n",
      stderr);
  std::abort();
}

constexpr std::size_t kDestructors = 2;

std::array<Entry, kEntries> MakeTable() {
  std::array<Entry, kEntries> entries;
  entries.fill(reinterpret_cast<Entry>(&Refuse));
  for (std::size_t i = 0; i < kDestructors; ++i) entries[i] = reinterpret_cast<Entry>(&Destroy);
  entries[kReleaseEntry] = reinterpret_cast<Entry>(&ReleaseResources);
  entries[kStorageEntry] = reinterpret_cast<Entry>(&StorageOf);
  return entries;
}

const std::array<Entry, kEntries> table = MakeTable();

void* Undefined() { return c10::UndefinedTensorImpl::singleton(); }

bool AnswersByVirtualFunctions(const c10::TensorImpl& impl) {
  return impl.has_symbolic_sizes_strides() || impl.is_python_dispatch() || impl.is_sparse() ||
         impl.key_set().has(c10::DispatchKey::NestedTensor) || !impl.has_storage();
}

}  // namespace

Handle MakeHandle(at::Tensor tensor) {
  if (!tensor.defined()) return Undefined();
  const c10::TensorImpl& impl = *tensor.unsafeGetTensorImpl();
  if (AnswersByVirtualFunctions(impl)) {
    throw std::invalid_argument("xlite takes plain tensors with storage");
  }
  static const std::size_t sizes_offset = MeasureSizesOffset();
  auto* copy = new Copy{table.data(), kOneOwner, {}, std::move(tensor), impl.storage()};
  const char* from = reinterpret_cast<const char*>(&impl);
  char* to = reinterpret_cast<char*>(copy);
  std::memcpy(to + 16, from + 16, std::min(sizes_offset, kSizesOffset) - 16);
  std::memcpy(to + kSizesOffset, from + sizes_offset, kTailBytes);
  alive.fetch_add(1, std::memory_order_relaxed);
  return copy;
}

bool IsHandle(const void* handle) {
  return static_cast<const Copy*>(handle)->entries == table.data();
}

const at::Tensor& TensorOf(const void* handle) { return static_cast<const Copy*>(handle)->tensor; }

void ReleaseHandle(Handle handle) {
  if (!IsHandle(handle)) return;
  auto* copy = static_cast<Copy*>(handle);
  if ((copy->owners.fetch_sub(1, std::memory_order_acq_rel) & 0xffffffffu) == 1) Destroy(copy);
}

int64_t CountHandles() { return alive.load(std::memory_order_relaxed); }

std::string CheckHandles() {
  const auto cpu = [](at::ScalarType dtype) { return at::TensorOptions().dtype(dtype); };
  const std::array tensors = {
      at::empty({}, cpu(at::kFloat)),
      at::empty({0}, cpu(at::kInt)),
      at::empty({2, 3}, cpu(at::kBFloat16)),
      at::empty({4, 6}, cpu(at::kHalf)).t(),
      at::empty({8, 2, 4, 1, 3}, cpu(at::kBFloat16)).select(1, 1),
      at::empty({1, 2, 1, 2, 1, 2, 3}, cpu(at::kLong)),
      at::empty_strided({3, 5}, {7, 1}, cpu(at::kChar)).narrow(0, 1, 2),
  };
  for (const at::Tensor& tensor : tensors) {
    Handle handle = MakeHandle(tensor);
    const std::string field = DifferingField(handle, kSizesOffset, tensor);
    const bool is_same = TensorOf(handle).is_same(tensor);
    ReleaseHandle(handle);
    if (!field.empty()) return "the copy of a tensor has a wrong field '" + field + "'";
    if (!is_same) return "the copy of a tensor stands for another one";
  }
  return "";
}

}  // namespace ascend_xlite_bridge
