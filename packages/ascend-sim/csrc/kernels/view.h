// SPDX-License-Identifier: Apache-2.0
//
// Device memory as tensors, for bodies that compute on ATen. A view owns no memory; make it where
// it is used, in what the stream runs.
#pragma once

#include <ATen/ATen.h>

#include <type_traits>

#include "ascend_sim/kernel.h"

namespace ascend_sim::kernels {

// The dense tensor at `data`, in row-major order. The element type follows from T.
template <class T>
at::Tensor View(T* data, at::IntArrayRef sizes) {
  using Value = std::remove_const_t<T>;
  return at::from_blob(const_cast<Value*>(data), sizes,
                       at::TensorOptions(c10::CppTypeToScalarType<Value>::value));
}

}  // namespace ascend_sim::kernels
