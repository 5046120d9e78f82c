// SPDX-License-Identifier: Apache-2.0
//
// Pooling.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// torch_npu passes 0 for "none".
std::optional<int64_t> Divisor(int64_t value) {
  return value == 0 ? std::nullopt : std::optional(value);
}

// An empty stride means the kernel's own size.
const Ints& StrideOr(const Ints& stride, const Ints& kernel) {
  return stride.empty() ? kernel : stride;
}

// The value for one side: a list holds one value for both sides, or one for each.
int64_t Side(const Ints& values, size_t i) { return values[values.size() == 1 ? 0 : i]; }

// Which element of its window each maximum of a plane was, as the mask that torch_npu carries from
// the forward to the backward pass: int8 [..., kernel height * kernel width, bytes]. Its content is
// private to the device; here each row has a byte per output, 1 where that element is the maximum.
struct WindowMask {
  const Ints& kernel;
  const Ints& stride;
  const Ints& padding;
  const Ints& dilation;

  // [..., height, width] of indices into a plane, and the other way round.
  void Store(Tensor& mask, const Tensor& indices, int64_t width) const {
    const auto outputs = indices.size(-1) * indices.size(-2);
    mask.zero_();
    auto rows = Rows(mask, outputs);
    const auto place = Place(indices, width).flatten(-2).unsqueeze(-2);
    rows.scatter_(-2, place, 1);
  }
  Tensor Indices(const Tensor& mask, const Tensor& outputs, int64_t width) const {
    const auto height = outputs.size(-2), columns = outputs.size(-1);
    const auto place = Rows(mask, height * columns).argmax(-2).view(outputs.sizes());
    const auto y =
        Origin(height, 0).unsqueeze(-1) + place.div(Side(kernel, 1), "floor") * Side(dilation, 0);
    const auto x = Origin(columns, 1) + place.remainder(Side(kernel, 1)) * Side(dilation, 1);
    return y * width + x;
  }

 private:
  static Tensor Rows(const Tensor& mask, int64_t outputs) { return mask.narrow(-1, 0, outputs); }
  Tensor Origin(int64_t outputs, size_t side) const {
    return at::arange(outputs, at::kLong) * Side(StrideOr(stride, kernel), side) -
           Side(padding, side);
  }
  Tensor Place(const Tensor& indices, int64_t width) const {
    const auto y = indices.div(width, "floor") - Origin(indices.size(-2), 0).unsqueeze(-1);
    const auto x = indices.remainder(width) - Origin(indices.size(-1), 1);
    return y.div(Side(dilation, 0), "floor") * Side(kernel, 1) + x.div(Side(dilation, 1), "floor");
  }
};

}  // namespace

// --- averages -----------------------------------------------------------------------------------

ACLNN_OP(aclnnAvgPool2d, (const Tensor& self, const Ints& kernel, const Ints& stride,
                          const Ints& padding, bool ceil_mode, bool count_include_pad,
                          int64_t divisor, int8_t /*cube_math_type*/, Tensor& out)) {
  Store(out, at::avg_pool2d(self, kernel, stride, padding, ceil_mode, count_include_pad,
                            Divisor(divisor)));
}
ACLNN_OP(aclnnAvgPool2dBackward,
         (const Tensor& grad, const Tensor& self, const Ints& kernel, const Ints& stride,
          const Ints& padding, bool ceil_mode, bool count_include_pad, int64_t divisor,
          int8_t /*cube_math_type*/, Tensor& grad_input)) {
  Store(grad_input,
        at::avg_pool2d_backward(Wide(grad), Wide(self), kernel, StrideOr(stride, kernel), padding,
                                ceil_mode, count_include_pad, Divisor(divisor)));
}
ACLNN_OP(aclnnAvgPool3d,
         (const Tensor& self, const Ints& kernel, const Ints& stride, const Ints& padding,
          bool ceil_mode, bool count_include_pad, int64_t divisor, Tensor& out)) {
  Store(out, at::avg_pool3d(Wide(self), kernel, stride, padding, ceil_mode, count_include_pad,
                            Divisor(divisor)));
}
ACLNN_OP(aclnnAvgPool3dBackward, (const Tensor& grad, const Tensor& self, const Ints& kernel,
                                  const Ints& stride, const Ints& padding, bool ceil_mode,
                                  bool count_include_pad, int64_t divisor, Tensor& grad_input)) {
  Store(grad_input,
        at::avg_pool3d_backward(Wide(grad), Wide(self), kernel, StrideOr(stride, kernel), padding,
                                ceil_mode, count_include_pad, Divisor(divisor)));
}
// ATen divides by the sizes of the input, and assumes that both have the same planes, of `sides`
// dimensions.
void RequireGradientOf(const Tensor& self, const Tensor& grad, int64_t sides) {
  const auto planes = [&](const Tensor& t) { return t.sizes().slice(0, t.dim() - sides); };
  Require(self.dim() >= sides && self.dim() == grad.dim() && planes(self) == planes(grad),
          "gradOutput must have self's shape but for the last ", sides, " dimensions, ",
          self.sizes(), ", got ", grad.sizes());
  Require(self.numel() > 0 || grad.numel() == 0, "gradOutput must be empty as self is, got ",
          grad.sizes());
}
ACLNN_OP(aclnnAdaptiveAvgPool2d, (const Tensor& self, const Ints& output_size, Tensor& out)) {
  Store(out, at::adaptive_avg_pool2d(self, output_size));
}
ACLNN_OP(aclnnAdaptiveAvgPool2dBackward,
         (const Tensor& grad, const Tensor& self, Tensor& grad_input)) {
  RequireGradientOf(self, grad, 2);
  Store(grad_input, at::_adaptive_avg_pool2d_backward(Wide(grad), Wide(self)));
}
ACLNN_OP(aclnnAdaptiveAvgPool3d, (const Tensor& self, const Ints& output_size, Tensor& out)) {
  Store(out, at::adaptive_avg_pool3d(self, output_size));
}
ACLNN_OP(aclnnAdaptiveAvgPool3dBackward,
         (const Tensor& grad, const Tensor& self, Tensor& grad_input)) {
  RequireGradientOf(self, grad, 3);
  Store(grad_input, at::_adaptive_avg_pool3d_backward(Wide(grad), Wide(self)));
}

// --- maxima -------------------------------------------------------------------------------------

// The number of elements of a plane with `sides` dimensions.
int64_t PlaneOf(const Tensor& self, int64_t sides) {
  Require(self.dim() >= sides, "self must have planes of ", sides, " dimensions");
  return c10::multiply_integers(self.sizes().slice(self.dim() - sides));
}

ACLNN_OP(aclnnMaxPool2dWithMask,
         (const Tensor& self, const Ints& kernel, const Ints& stride, const Ints& padding,
          const Ints& dilation, bool ceil_mode, Tensor& out, Tensor& mask)) {
  auto [values, indices] =
      at::max_pool2d_with_indices(self, kernel, stride, padding, dilation, ceil_mode);
  Store(out, values);
  WindowMask{kernel, stride, padding, dilation}.Store(mask, indices, self.size(-1));
}
ACLNN_OP(aclnnMaxPool2dWithMaskBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& mask, const Ints& kernel,
          const Ints& stride, const Ints& padding, const Ints& dilation, bool ceil_mode,
          Tensor& grad_input)) {
  const auto indices =
      WindowMask{kernel, stride, padding, dilation}.Indices(mask, grad, self.size(-1));
  Store(grad_input, at::max_pool2d_with_indices_backward(
                        Wide(grad), Wide(self), kernel, StrideOr(stride, kernel), padding, dilation,
                        ceil_mode, PlacesAmong(PlaneOf(self, 2), indices, "the maxima of mask")));
}
ACLNN_OP(aclnnMaxPool2dWithIndices,
         (const Tensor& self, const Ints& kernel, const Ints& stride, const Ints& padding,
          const Ints& dilation, bool ceil_mode, Tensor& out, Tensor& indices)) {
  StorePair(out, indices,
            at::max_pool2d_with_indices(self, kernel, stride, padding, dilation, ceil_mode));
}
ACLNN_OP(aclnnMaxPool2dWithIndicesBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& indices, const Ints& kernel,
          const Ints& stride, const Ints& padding, const Ints& dilation, bool ceil_mode,
          Tensor& grad_input)) {
  Store(grad_input, at::max_pool2d_with_indices_backward(
                        Wide(grad), Wide(self), kernel, StrideOr(stride, kernel), padding, dilation,
                        ceil_mode, PlacesAmong(PlaneOf(self, 2), indices, "indices")));
}
ACLNN_OP(aclnnMaxPool3dWithArgmax,
         (const Tensor& self, const Ints& kernel, const Ints& stride, const Ints& padding,
          const Ints& dilation, bool ceil_mode, Tensor& out, Tensor& indices)) {
  StorePair(out, indices,
            at::max_pool3d_with_indices(self, kernel, stride, padding, dilation, ceil_mode));
}
ACLNN_OP(aclnnAdaptiveMaxPool2d,
         (const Tensor& self, const Ints& output_size, Tensor& out, Tensor& indices)) {
  StorePair(out, indices, at::adaptive_max_pool2d(self, output_size));
}
ACLNN_OP(aclnnAdaptiveMaxPool2dBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& indices, Tensor& grad_input)) {
  RequireGradientOf(self, grad, 2);
  Require(indices.sizes() == grad.sizes(), "indices must have gradOutput's shape");
  Store(grad_input, at::adaptive_max_pool2d_backward(
                        Wide(grad), Wide(self), PlacesAmong(PlaneOf(self, 2), indices, "indices")));
}
ACLNN_OP(aclnnAdaptiveMaxPool3d,
         (const Tensor& self, const Ints& output_size, Tensor& out, Tensor& indices)) {
  StorePair(out, indices, at::adaptive_max_pool3d(self, output_size));
}
ACLNN_OP(aclnnAdaptiveMaxPool3dBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& indices, Tensor& grad_input)) {
  RequireGradientOf(self, grad, 3);
  Require(indices.sizes() == grad.sizes(), "indices must have gradOutput's shape");
  Store(grad_input, at::adaptive_max_pool3d_backward(
                        Wide(grad), Wide(self), PlacesAmong(PlaneOf(self, 3), indices, "indices")));
}

}  // namespace ascend_sim::opapi
