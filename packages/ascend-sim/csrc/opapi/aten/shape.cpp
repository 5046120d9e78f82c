// SPDX-License-Identifier: Apache-2.0
//
// Copies, fills, sequences, and operators that rearrange elements.
#include <ATen/native/TypeProperties.h>

#include <cmath>

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {

// --- copies and fills ---------------------------------------------------------------------------

ACLNN_OP(aclnnInplaceCopy, (Tensor & self, const Tensor& src)) { self.copy_(src); }
ACLNN_OP(aclnnCast, (const Tensor& self, DType /*dtype: that of out*/, Tensor& out)) {
  Store(out, self);
}
ACLNN_OP(aclnnInplaceFillScalar, (Tensor & self, const Scalar& value)) { self.fill_(value); }
ACLNN_OP(aclnnInplaceFillTensor, (Tensor & self, const Tensor& value)) {
  self.fill_(value.dim() == 0 ? value : value.reshape({}));
}
ACLNN_OP(aclnnInplaceZero, (Tensor & self)) { self.zero_(); }
ACLNN_OP(aclnnInplaceOne, (Tensor & self)) { self.fill_(1); }
ACLNN_OP(aclnnInplaceFillDiagonal, (Tensor & self, const Scalar& value, bool wrap)) {
  self.fill_diagonal_(value, wrap);
}

// --- sequences ----------------------------------------------------------------------------------

// ATen divides by the step in the dtype of the output, in which it may be 0.
void RequireStep(const Scalar& step, const Tensor& out) {
  const bool whole = at::isIntegralType(out.scalar_type(), /*includeBool=*/true);
  TORCH_CHECK(whole ? std::abs(step.toDouble()) >= 1 : step.toDouble() != 0,
              "step must not be 0 as ", out.scalar_type(), ", got ", step);
}

ACLNN_OP(aclnnArange, (const Scalar& start, const Scalar& end, const Scalar& step, Tensor& out)) {
  RequireStep(step, out);
  at::arange_out(out, start, end, step);
}
ACLNN_OP(aclnnRange, (const Scalar& start, const Scalar& end, const Scalar& step, Tensor& out)) {
  RequireStep(step, out);
  at::range_out(out, start, end, step);
}
ACLNN_OP(aclnnLinspace, (const Scalar& start, const Scalar& end, int64_t steps, Tensor& out)) {
  at::linspace_out(out, start, end, steps);
}
ACLNN_OP(aclnnLogSpace,
         (const Scalar& start, const Scalar& end, int64_t steps, double base, Tensor& out)) {
  at::logspace_out(out, start, end, steps, base);
}
ACLNN_OP(aclnnEye, (int64_t n, int64_t m, Tensor& out)) { at::eye_out(out, n, m); }
ACLNN_OP(aclnnOneHot, (const Tensor& self, int64_t depth, const Tensor& on_value,
                       const Tensor& off_value, int64_t axis, Tensor& out)) {
  TORCH_CHECK(axis >= -1 && axis <= self.dim(), "axis ", axis, " is not a dimension of the result");
  TORCH_CHECK(depth >= 0 && depth <= out.numel() + 1, "numClasses is ", depth,
              ", but the output has ", out.numel(), " elements");
  const auto classes = at::arange(depth, self.options());
  // The class dimension is `axis` of the result; -1 is the last.
  const auto dim = axis < 0 ? self.dim() : axis;
  at::DimVector shape(self.dim() + 1, 1);
  shape[dim] = depth;
  Store(out, at::where(self.unsqueeze(dim) == classes.view(shape), on_value.reshape({}),
                       off_value.reshape({})));
}

// --- rearrangements -----------------------------------------------------------------------------

ACLNN_PLANNED_OP(aclnnCat, (const Tensors& tensors, int64_t dim, Tensor& out)) {
  return Into(out, at::native::result_type(at::TensorList(tensors)),
              [=](Tensor& result) { at::cat_out(result, tensors, dim); });
}
ACLNN_PLANNED_OP(aclnnStack, (const Tensors& tensors, int64_t dim, Tensor& out)) {
  return Into(out, at::native::result_type(at::TensorList(tensors)),
              [=](Tensor& result) { at::stack_out(result, tensors, dim); });
}
ACLNN_OP(aclnnSplitWithSize, (const Tensor& self, const Ints& sizes, int64_t dim, Tensors& outs)) {
  const auto parts = self.split_with_sizes(sizes, dim);
  TORCH_CHECK(parts.size() == outs.size(), "out: expected ", parts.size(), " tensors, got ",
              outs.size());
  for (size_t i = 0; i < parts.size(); ++i) outs[i].copy_(parts[i]);
}
ACLNN_OP(aclnnFlip, (const Tensor& self, const Ints& dims, Tensor& out)) {
  Store(out, at::flip(self, dims));
}
ACLNN_OP(aclnnRoll, (const Tensor& self, const Ints& shifts, const Ints& dims, Tensor& out)) {
  Store(out, at::roll(self, shifts, dims));
}
ACLNN_OP(aclnnRepeat, (const Tensor& self, const Ints& repeats, Tensor& out)) {
  int64_t elements = self.numel();
  for (const auto times : repeats) {
    TORCH_CHECK(times >= 0 && !__builtin_mul_overflow(elements, times, &elements), "repeats are ",
                repeats);
  }
  RequireElements(out, elements, "repeats");
  Store(out, self.repeat(repeats));
}
// Where sizes are 1, ATen assumes the strides of dense matrices in a batch.
#define TRIANGLE(Name, function)                                                  \
  ACLNN_OP(aclnn##Name, (const Tensor& self, int64_t diagonal, Tensor& out)) {    \
    Store(out, at::function(self.clone(at::MemoryFormat::Contiguous), diagonal)); \
  }                                                                               \
  ACLNN_OP(aclnnInplace##Name, (Tensor & self, int64_t diagonal)) {               \
    self.copy_(at::function(self.clone(at::MemoryFormat::Contiguous), diagonal)); \
  }
TRIANGLE(Tril, tril)
TRIANGLE(Triu, triu)
#undef TRIANGLE
ACLNN_OP(aclnnConstantPadNd,
         (const Tensor& self, const Ints& pad, const Scalar& value, Tensor& out)) {
  Store(out, at::constant_pad_nd(self, pad, value));
}

// ATen's gradients do not check that there are as many dimensions as they pad.
void RequirePadding(const Tensor& self, const Ints& padding, int64_t dimensions, bool reflects) {
  Require(static_cast<int64_t>(padding.size()) == 2 * dimensions, "padding must have ",
          2 * dimensions, " elements, got ", padding.size());
  Require(self.dim() == dimensions + 1 || self.dim() == dimensions + 2, "self must have ",
          dimensions + 1, " or ", dimensions + 2, " dimensions, got ", self.dim());
  for (int64_t i = 0; reflects && i < 2 * dimensions; ++i) {
    const auto size = self.size(-1 - i / 2);
    Require(padding[i] < size, "padding must be less than what it reflects, ", size, ", got ",
            padding[i]);
  }
}

#define PAD(Name, function, dimensions, reflects)                                         \
  ACLNN_PLANNED_OP(aclnn##Name, (const Tensor& self, const Ints& padding, Tensor& out)) { \
    RequirePadding(self, padding, dimensions, reflects);                                  \
    return [=]() mutable { at::function##_out(out, self, padding); };                     \
  }                                                                                       \
  ACLNN_PLANNED_OP(aclnn##Name##Backward, (const Tensor& grad, const Tensor& self,        \
                                           const Ints& padding, Tensor& grad_input)) {    \
    RequirePadding(self, padding, dimensions, reflects);                                  \
    Require(grad.dim() == self.dim(), "gradOutput must have as many dimensions as self"); \
    return [=]() mutable {                                                                \
      Store(grad_input, at::function##_backward(Wide(grad), Wide(self), padding));        \
    };                                                                                    \
  }

PAD(ReflectionPad1d, reflection_pad1d, 1, /*reflects=*/true)
PAD(ReflectionPad2d, reflection_pad2d, 2, /*reflects=*/true)
PAD(ReflectionPad3d, reflection_pad3d, 3, /*reflects=*/true)
PAD(ReplicationPad1d, replication_pad1d, 1, false)
PAD(ReplicationPad2d, replication_pad2d, 2, false)
PAD(ReplicationPad3d, replication_pad3d, 3, false)

ACLNN_OP(aclnnChannelShuffle, (const Tensor& self, int64_t groups, Tensor& out)) {
  Store(out, at::channel_shuffle(self, groups));
}
ACLNN_OP(aclnnUnfoldGrad, (const Tensor& grad, const Ints& input_size, int64_t dim, int64_t size,
                           int64_t step, Tensor& grad_input)) {
  Store(grad_input, at::unfold_backward(Wide(grad), input_size, dim, size, step));
}

// --- repetition of elements ---------------------------------------------------------------------

ACLNN_OP(aclnnRepeatInterleave,
         (const Tensor& self, const Tensor& repeats, int64_t output_size, Tensor& out)) {
  Store(out, at::repeat_interleave(self, repeats, std::nullopt, output_size));
}
ACLNN_OP(aclnnRepeatInterleaveWithDim, (const Tensor& self, const Tensor& repeats, int64_t dim,
                                        int64_t output_size, Tensor& out)) {
  Store(out, at::repeat_interleave(self, repeats, dim, output_size));
}
ACLNN_OP(aclnnRepeatInterleaveInt,
         (const Tensor& self, int64_t repeats, int64_t output_size, Tensor& out)) {
  TORCH_CHECK(repeats >= 0 && repeats <= out.numel() + 1, "repeats are ", repeats);
  Store(out, at::repeat_interleave(self, repeats, std::nullopt, output_size));
}
ACLNN_OP(aclnnRepeatInterleaveIntWithDim,
         (const Tensor& self, int64_t repeats, int64_t dim, int64_t output_size, Tensor& out)) {
  TORCH_CHECK(repeats >= 0 && repeats <= out.numel() + 1, "repeats are ", repeats);
  Store(out, at::repeat_interleave(self, repeats, dim, output_size));
}
ACLNN_OP(aclnnRepeatInterleaveTensor, (const Tensor& repeats, int64_t output_size, Tensor& out)) {
  RequireElements(out, output_size, "repeats");
  Store(out, at::repeat_interleave(repeats, std::optional<int64_t>(output_size)));
}

ACLNN_OP(aclnnRepeatInterleaveGrad,
         (const Tensor& grad, const Tensor& repeats, int64_t dim, Tensor& grad_input)) {
  const auto source = at::repeat_interleave(repeats, std::optional<int64_t>(grad.size(dim)));
  grad_input.zero_().index_add_(dim, source.to(at::kLong), grad);
}

}  // namespace ascend_sim::opapi
