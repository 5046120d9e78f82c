// SPDX-License-Identifier: Apache-2.0
//
// Writing results into outputs that the caller has allocated.
#pragma once

#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>

#include <functional>
#include <optional>
#include <tuple>

#include "opapi/abi/tensor.h"

namespace ascend_sim::opapi {

// Copies `result` into `out`, converting the dtype. Sizes of 1 may differ (aclnn outputs sometimes
// keep or drop them); any other difference is an error, because copy_ would broadcast it silently.
inline void Store(at::Tensor& out, const at::Tensor& result) {
  if (out.sizes() == result.sizes()) {
    out.copy_(result);
    return;
  }
  TORCH_CHECK(out.numel() == result.numel(), "the output has shape ", out.sizes(),
              ", the result has shape ", result.sizes());
  out.copy_(result.reshape(out.sizes()));
}

// What a device converts a result to (conversion_relationship.md): ATen allows less.
inline bool Converts(at::ScalarType from, at::ScalarType to) {
  if (to == at::kBool) return from == at::kBool;
  return !at::isComplexType(from) || !at::isIntegralType(to, /*includeBool=*/true);
}

// The work of letting `compute` write its result, of this type, to `out`.
template <class Compute>
std::function<void()> Into(const at::Tensor& out, at::ScalarType type, Compute compute) {
  Require(Converts(type, out.scalar_type()), "a result of ", type,
          " cannot be converted to the dtype of the output, ", out.scalar_type());
  if (at::canCast(type, out.scalar_type())) return [=, out = out]() mutable { compute(out); };
  return [=, out = out]() mutable {
    auto result = at::empty({0}, type);
    compute(result);
    Store(out, result);
  };
}

// Values and indices of an operator whose ATen form takes outputs, where the caller's have other
// dtypes (torch_npu sometimes asks for int32 indices).
inline void StorePair(at::Tensor& values, at::Tensor& indices,
                      const std::tuple<at::Tensor, at::Tensor>& result) {
  Store(values, std::get<0>(result));
  Store(indices, std::get<1>(result));
}

// Likewise for one of several gradients, if the caller wants it.
inline void StoreIf(bool wanted, std::optional<at::Tensor>& out, const at::Tensor& result) {
  if (wanted && out.has_value()) Store(*out, result);
}

// For results whose size follows from a number: rejects one that does not fit `out` before it is
// computed.
inline void RequireElements(const at::Tensor& out, int64_t elements, const char* what) {
  TORCH_CHECK(elements == out.numel(), what, " make ", elements, " elements, but the output has ",
              out.numel());
}

// Likewise for functions of two tensors, which broadcast: `out` must have as many elements as both
// of them give together.
inline void RequireElements(const at::Tensor& out, at::IntArrayRef one, at::IntArrayRef other) {
  const auto sizes = at::infer_size(one, other);
  TORCH_CHECK(c10::multiply_integers(sizes) == out.numel(), "the output has shape ", out.sizes(),
              ", the result has shape ", at::IntArrayRef(sizes));
}

// For gradients of functions that leave the shape as it is.
inline void RequireSameShape(const at::Tensor& grad, const at::Tensor& forward) {
  TORCH_CHECK(grad.sizes() == forward.sizes(), "the gradient must have the shape ", forward.sizes(),
              ", got ", grad.sizes());
}

}  // namespace ascend_sim::opapi
