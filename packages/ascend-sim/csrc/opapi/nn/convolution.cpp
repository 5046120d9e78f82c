// SPDX-License-Identifier: Apache-2.0
//
// Convolutions and the rearrangements behind them.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/cube.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// A float32 bias is added to the accumulated sum, so it is not rounded with the operands.
Tensor Convolve(const Tensor& input, const Tensor& weight, const OptTensor& bias,
                at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                bool transposed, at::IntArrayRef output_padding, int64_t groups) {
  const auto bias_as_input = bias ? OptTensor(bias->to(input.scalar_type())) : bias;
  return at::convolution(input, weight, bias_as_input, stride, padding, dilation, transposed,
                         output_padding, groups);
}

// nn/conv/convolution_forward/docs/aclnnConvolution.md, nn/conv/convolution_backward/docs/
// aclnnConvolutionBackward.md: the columns of A2 and A3 in the tables of constraints, in their
// widest reading: the last two elements of a list are those of height and width.
void CheckConvolution(const Tensor& input, const Tensor& weight, const Ints& stride,
                      const Ints& padding, const Ints& dilation, bool transposed, int64_t groups) {
  constexpr int64_t kMostSize = 1000000, kMostStep = 255, kMostStride = 63, kMostGroups = 65535;
  const bool three = input.dim() == 5;
  const auto within = [](const Ints& values, int64_t least, int64_t most) {
    const auto tail = values.end() - std::min<int64_t>(values.size(), 2);
    return std::all_of(tail, values.end(), [&](int64_t v) { return v >= least && v <= most; });
  };
  Limit(groups >= 1 && groups <= kMostGroups, "groups must be from 1 to 65535, got ", groups);
  for (const auto* tensor : {&input, &weight}) {
    Limit(std::all_of(tensor->sizes().begin(), tensor->sizes().end(),
                      [](int64_t n) { return n <= kMostSize; }),
          "input and weight must have dimensions of at most 1000000, got ", tensor->sizes());
  }
  if (!transposed || three) {
    Limit(within(padding, 0, kMostStep), "padding must be from 0 to 255, got ", padding);
  }
  if (transposed || three) {
    const int64_t most_window = transposed ? 255 : 511;
    Limit(within(dilation, 1, kMostStep), "dilation must be from 1 to 255, got ", dilation);
    Limit(within(weight.sizes().slice(2).vec(), 1, most_window),
          "weight must have a window of at most ", most_window, ", got ", weight.sizes());
  }
  if (three) {
    Limit(within(stride, 1, kMostStride), "stride must be from 1 to 63, got ", stride);
  }
}

// [time, batch, channels] to [batch, channels, time] and back.
Tensor BatchFirst(const Tensor& t) { return t.permute({1, 2, 0}); }
Tensor TimeFirst(const Tensor& t) { return t.permute({2, 0, 1}); }

}  // namespace

ACLNN_PLANNED_OP(aclnnConvolution,
                 (const Tensor& input, const Tensor& weight, const OptTensor& bias,
                  const Ints& stride, const Ints& padding, const Ints& dilation, bool transposed,
                  const Ints& output_padding, int64_t groups, Tensor& out, const Cube& cube)) {
  CheckConvolution(input, weight, stride, padding, dilation, transposed, groups);
  return [=]() mutable {
    Store(out, Convolve(cube(input), cube(weight), bias, stride, padding, dilation, transposed,
                        output_padding, groups));
  };
}
ACLNN_OP(aclnnConvDepthwise2d,
         (const Tensor& input, const Tensor& weight, const Ints& /*kernel_size*/,
          const OptTensor& bias, const Ints& stride, const Ints& padding, const Ints& dilation,
          Tensor& out, const Cube& cube)) {
  Store(out, Convolve(cube(input), cube(weight), bias, stride, padding, dilation,
                      /*transposed=*/false, {0, 0}, input.size(1)));
}
// One dimension; the layout is [time, batch, channels], the weight [kernel, in, out].
ACLNN_OP(aclnnConvTbc, (const Tensor& input, const Tensor& weight, const Tensor& bias,
                        int64_t padding, Tensor& out, const Cube& cube)) {
  Store(out, TimeFirst(Convolve(BatchFirst(cube(input)), cube(weight).permute({2, 1, 0}), bias, {1},
                                {padding}, {1}, /*transposed=*/false, {0}, /*groups=*/1)));
}
ACLNN_PLANNED_OP(aclnnConvTbcBackward,
                 (const Tensor& grad, const Tensor& input, const Tensor& weight, const Tensor& bias,
                  int64_t padding, const Cube& cube, Tensor& grad_input, Tensor& grad_weight,
                  Tensor& grad_bias)) {
  const auto steps = input.size(0) + 2 * padding - weight.size(0) + 1;
  const std::array<int64_t, 3> sizes{steps, input.size(1), weight.size(2)};
  const at::IntArrayRef shape(sizes);
  Require(grad.sizes() == shape, "the gradient must have the shape ", shape, ", got ",
          grad.sizes());
  return [=]() mutable {
    auto [by_input, by_weight, by_bias] =
        at::convolution_backward(BatchFirst(cube(grad)), BatchFirst(cube(input)),
                                 cube(weight).permute({2, 1, 0}), bias.sizes(), {1}, {padding}, {1},
                                 /*transposed=*/false, {0}, /*groups=*/1, {true, true, true});
    Store(grad_input, TimeFirst(by_input));
    Store(grad_weight, by_weight.permute({2, 1, 0}));
    Store(grad_bias, by_bias);
  };
}
ACLNN_PLANNED_OP(aclnnConvolutionBackward,
                 (const Tensor& grad, const Tensor& input, const Tensor& weight,
                  const OptInts& bias_sizes, const Ints& stride, const Ints& padding,
                  const Ints& dilation, bool transposed, const Ints& output_padding, int64_t groups,
                  const Bools& wanted, const Cube& cube, OptTensor& grad_input,
                  OptTensor& grad_weight, OptTensor& grad_bias)) {
  CheckConvolution(input, weight, stride, padding, dilation, transposed, groups);
  return [=]() mutable {
    auto [by_input, by_weight, by_bias] = at::convolution_backward(
        cube(grad), cube(input), cube(weight),
        bias_sizes ? at::OptionalIntArrayRef(*bias_sizes) : std::nullopt, stride, padding, dilation,
        transposed, output_padding, groups, {wanted.at(0), wanted.at(1), wanted.at(2)});
    StoreIf(wanted[0], grad_input, by_input);
    StoreIf(wanted[1], grad_weight, by_weight);
    StoreIf(wanted[2], grad_bias, by_bias);
  };
}
ACLNN_OP(aclnnIm2col, (const Tensor& self, const Ints& kernel_size, const Ints& dilation,
                       const Ints& padding, const Ints& stride, Tensor& out)) {
  Store(out, at::im2col(self, kernel_size, dilation, padding, stride));
}
ACLNN_OP(aclnnIm2colBackward,
         (const Tensor& grad, const Ints& input_size, const Ints& kernel_size, const Ints& dilation,
          const Ints& padding, const Ints& stride, Tensor& grad_input)) {
  Store(grad_input, at::col2im(Wide(grad), input_size, kernel_size, dilation, padding, stride));
}

}  // namespace ascend_sim::opapi
