// SPDX-License-Identifier: Apache-2.0
//
// The C functions that Python calls with ctypes. Each returns nullptr, or a text that says what is
// wrong and that lives until the next call of the thread.
#include <ATen/core/Tensor.h>
#include <dlfcn.h>

#include <atomic>
#include <exception>
#include <stdexcept>
#include <string>

#include "function_slot.h"
#include "tensor_copy.h"
#include "tensor_fields.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace ascend_xlite_bridge {
namespace {

// The two functions of libtorch_python through which an extension that is bound with pybind11 gets
// tensors from Python and gives them to it. Both run with the GIL held.
constexpr auto kLoad = "_ZN8pybind116detail11type_casterIN2at6TensorEvE4loadENS_6handleEb";
constexpr auto kCast =
    "_ZN8pybind116detail11type_casterIN2at6TensorEvE4castERKS3_NS_19return_value_policyENS_"
    "6handleE";

using Load = bool (*)(void* caster, void* object, bool convert);
using Cast = void* (*)(const void* tensor, int policy, void* parent);

std::atomic<Load> torch_load{nullptr};
std::atomic<Cast> torch_cast{nullptr};

// A caster is one at::Tensor, that is, one pointer.
bool LoadHandle(Handle* caster, void* object, bool convert) {
  at::Tensor tensor;
  if (!torch_load.load(std::memory_order_acquire)(&tensor, object, convert)) return false;
  try {
    Handle handle = MakeHandle(std::move(tensor));
    ReleaseHandle(*caster);
    *caster = handle;
    return true;
  } catch (const std::exception&) {
    return false;  // pybind11 says that the argument does not fit
  }
}

void* CastHandle(const Handle* handle, int policy, void* parent) {
  const void* tensor = IsHandle(*handle) ? static_cast<const void*>(&TensorOf(*handle)) : handle;
  return torch_cast.load(std::memory_order_acquire)(tensor, policy, parent);
}

template <class Body>
const char* Guarded(Body body) {
  thread_local std::string error;
  try {
    error = body();
  } catch (const std::exception& caught) {
    error = caught.what();
  } catch (...) {
    error = "an exception of unknown type";
  }
  return error.empty() ? nullptr : error.c_str();
}

}  // namespace
}  // namespace ascend_xlite_bridge

/// Writes where tensors of the installed torch have their sizes.
EXPORT const char* xlite_bridge_sizes_offset(std::size_t* offset) {
  return ascend_xlite_bridge::Guarded([&] {
    *offset = ascend_xlite_bridge::MeasureSizesOffset();
    return std::string();
  });
}

/// Reads copies of many kinds of tensors as the extension would.
EXPORT const char* xlite_bridge_check_copies() {
  return ascend_xlite_bridge::Guarded(&ascend_xlite_bridge::CheckHandles);
}

/// Lets a loaded extension that was compiled against torch 2.10 see tensors in that layout. To do
/// it again changes nothing.
EXPORT const char* xlite_bridge_adapt(const char* path) {
  using namespace ascend_xlite_bridge;
  return Guarded([&]() -> std::string {
    void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (!library) return "it is not loaded";
    FunctionSlot load(library, kLoad);
    FunctionSlot cast(library, kCast);
    dlclose(library);  // the reference taken here; Python never unloads an extension
    torch_load.store(reinterpret_cast<Load>(load.original()), std::memory_order_release);
    torch_cast.store(reinterpret_cast<Cast>(cast.original()), std::memory_order_release);
    load.Replace(reinterpret_cast<void*>(&LoadHandle));
    cast.Replace(reinterpret_cast<void*>(&CastHandle));
    return "";
  });
}

/// Copies that are alive.
EXPORT int64_t xlite_bridge_copies() { return ascend_xlite_bridge::CountHandles(); }
