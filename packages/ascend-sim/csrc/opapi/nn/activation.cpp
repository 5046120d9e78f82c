// SPDX-License-Identifier: Apache-2.0
//
// Activations and their gradients.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/gate.h"

namespace ascend_sim::opapi {
namespace {

const char* GeluApproximation(int64_t mode) {
  TORCH_CHECK(mode == 0 || mode == 1, "approximate must be 0 (none) or 1 (tanh), got ", mode);
  return mode == 1 ? "tanh" : "none";
}

// The same, by torch's name for it, which torch_npu passes on as text.
const char* GeluApproximation(const std::string& name) {
  Require(name == "none" || name == "tanh", "approximate must be none or tanh, got ", name);
  return name == "tanh" ? "tanh" : "none";
}

// Weights of prelu, one for all or one for each channel (dimension 1), to multiply `self` by.
Tensor PerChannel(const Tensor& weight, const Tensor& self) {
  if (weight.dim() == self.dim()) return weight;
  at::DimVector shape(self.dim(), 1);
  if (self.dim() > 1) shape[1] = weight.numel();
  return weight.view(shape);
}

constexpr double kFastGelu = 1.702;

}  // namespace

// --- forward ------------------------------------------------------------------------------------

#define ACTIVATION_OUT(Name, function) \
  ACLNN_OP(aclnn##Name, (const Tensor& self, Tensor& out)) { at::function##_out(out, self); }
#define ACTIVATION(Name, function) \
  ACTIVATION_OUT(Name, function)   \
  ACLNN_OP(aclnnInplace##Name, (Tensor & self)) { at::function##_out(self, self); }

ACTIVATION_OUT(Silu, silu)
ACTIVATION(Relu, relu)
// Takes integers too; the result is then truncated.
ACLNN_OP(aclnnHardsigmoid, (const Tensor& self, Tensor& out)) {
  Store(out, at::hardsigmoid(self.to(at::result_type(self, 1.0))));
}
ACLNN_OP(aclnnInplaceHardsigmoid, (Tensor & self)) {
  self.copy_(at::hardsigmoid(self.to(at::result_type(self, 1.0))));
}
ACTIVATION(Hardswish, hardswish)
ACTIVATION(Mish, mish)

ACLNN_OP(aclnnGelu, (const Tensor& self, Tensor& out)) { at::gelu_out(out, self); }
ACLNN_OP(aclnnGeluV2, (const Tensor& self, int64_t approximate, Tensor& out)) {
  at::gelu_out(out, self, GeluApproximation(approximate));
}
ACLNN_OP(aclnnFastGelu, (const Tensor& self, Tensor& out)) {
  // x * sigmoid(1.702 x), the approximation that npu_fast_gelu documents.
  Store(out, self * at::sigmoid(kFastGelu * self));
}
ACLNN_OP(aclnnSoftplus,
         (const Tensor& self, const Scalar& beta, const Scalar& threshold, Tensor& out)) {
  at::softplus_out(out, self, beta, threshold);
}
ACLNN_OP(aclnnElu, (const Tensor& self, const Scalar& alpha, const Scalar& scale,
                    const Scalar& input_scale, Tensor& out)) {
  at::elu_out(out, self, alpha, scale, input_scale);
}
ACLNN_OP(aclnnLeakyRelu, (const Tensor& self, const Scalar& negative_slope, Tensor& out)) {
  at::leaky_relu_out(out, self, negative_slope);
}
ACLNN_OP(aclnnHardtanh,
         (const Tensor& self, const Scalar& min_val, const Scalar& max_val, Tensor& out)) {
  at::hardtanh_out(out, self, min_val, max_val);
}
ACLNN_OP(aclnnSoftshrink, (const Tensor& self, const Scalar& lambd, Tensor& out)) {
  at::softshrink_out(out, self, lambd);
}
ACLNN_OP(aclnnHardshrink, (const Tensor& self, const Scalar& lambd, Tensor& out)) {
  at::hardshrink_out(out, self, lambd);
}
ACLNN_OP(aclnnThreshold,
         (const Tensor& self, const Scalar& threshold, const Scalar& value, Tensor& out)) {
  at::threshold_out(out, self, threshold, value);
}
ACLNN_OP(aclnnLogSigmoid, (const Tensor& self, Tensor& out)) { Store(out, at::log_sigmoid(self)); }
// The buffer is for the backward pass of implementations that need one.
ACLNN_OP(aclnnLogSigmoidForward, (const Tensor& self, Tensor& out, const OptTensor& /*buffer*/)) {
  Store(out, at::log_sigmoid(self));
}
ACLNN_OP(aclnnGlu, (const Tensor& self, int64_t dim, Tensor& out)) { at::glu_out(out, self, dim); }
ACLNN_OP(aclnnCelu, (const Tensor& self, const Scalar& alpha, Tensor& out)) {
  Store(out, at::celu(self, alpha));
}
ACLNN_OP(aclnnPrelu, (const Tensor& self, const Tensor& weight, Tensor& out)) {
  Store(out, at::where(self >= 0, self, self * PerChannel(weight, self)));
}
ACLNN_OP(aclnnLogit, (const Tensor& self, double eps, Tensor& out)) {
  // torch_npu passes -1 for "no clamping".
  at::logit_out(out, self, eps < 0 ? std::nullopt : std::optional(eps));
}
ACLNN_OP(aclnnAddRelu,
         (const Tensor& self, const Tensor& other, const Scalar& alpha, Tensor& out)) {
  Store(out, at::relu(at::add(self, other, alpha)));
}
ACLNN_OP(aclnnInplaceAddRelu, (Tensor & self, const Tensor& other, const Scalar& alpha)) {
  self.add_(other, alpha).relu_();
}
// One half times the gelu of the other, along `dim`.
ACLNN_OP(aclnnGeGluV3, (const Tensor& self, int64_t dim, int64_t approximate, bool activate_left,
                        Tensor& out, Tensor& out_gelu)) {
  const auto halves = Halves(self, dim);
  Store(out_gelu, at::gelu(halves[activate_left ? 0 : 1], GeluApproximation(approximate)));
  Store(out, halves[activate_left ? 1 : 0] * out_gelu);
}
ACLNN_OP(aclnnGeluMul, (const Tensor& self, const std::string& approximate, Tensor& out)) {
  const auto halves = Halves(self, -1);
  Store(out, at::gelu(halves[0], GeluApproximation(approximate)) * halves[1]);
}

// --- in place -----------------------------------------------------------------------------------

ACLNN_OP(aclnnInplaceCelu, (Tensor & self, const Scalar& alpha)) { at::celu_(self, alpha); }
ACLNN_OP(aclnnInplaceElu,
         (Tensor & self, const Scalar& alpha, const Scalar& scale, const Scalar& input_scale)) {
  at::elu_(self, alpha, scale, input_scale);
}
ACLNN_OP(aclnnInplaceHardtanh, (Tensor & self, const Scalar& min_val, const Scalar& max_val)) {
  at::hardtanh_(self, min_val, max_val);
}
ACLNN_OP(aclnnInplaceLeakyRelu, (Tensor & self, const Scalar& negative_slope)) {
  at::leaky_relu_(self, negative_slope);
}
ACLNN_OP(aclnnInplaceThreshold, (Tensor & self, const Scalar& threshold, const Scalar& value)) {
  at::threshold_(self, threshold, value);
}

// --- gradients ----------------------------------------------------------------------------------

// By the input (`self`) or by the output of the forward function, as the function's own is.
#define GRADIENT(Name, function)                                                                  \
  ACLNN_OP(aclnn##Name, (const Tensor& grad, const Tensor& self_or_result, Tensor& grad_input)) { \
    RequireElements(grad_input, grad.sizes(), self_or_result.sizes());                            \
    Store(grad_input, at::function(grad, self_or_result));                                        \
  }

GRADIENT(SigmoidBackward, sigmoid_backward)
GRADIENT(TanhBackward, tanh_backward)
GRADIENT(SiluBackward, silu_backward)
GRADIENT(MishBackward, mish_backward)
GRADIENT(HardsigmoidBackward, hardsigmoid_backward)
GRADIENT(HardswishBackward, hardswish_backward)
GRADIENT(HardswishBackwardV2, hardswish_backward)
GRADIENT(GeluBackward, gelu_backward)

ACLNN_OP(aclnnGeluBackwardV2, (const Tensor& grad, const Tensor& self,
                               const std::string& approximate, Tensor& grad_input)) {
  Store(grad_input, at::gelu_backward(grad, self, GeluApproximation(approximate)));
}
ACLNN_OP(aclnnFastGeluBackward, (const Tensor& grad, const Tensor& self, Tensor& grad_input)) {
  const auto gate = at::sigmoid(kFastGelu * self);
  Store(grad_input, grad * gate * (1 + kFastGelu * self * (1 - gate)));
}
ACLNN_OP(aclnnEluBackward,
         (const Tensor& grad, const Scalar& alpha, const Scalar& scale, const Scalar& input_scale,
          bool is_result, const Tensor& self_or_result, Tensor& grad_input)) {
  Store(grad_input, at::elu_backward(grad, alpha, scale, input_scale, is_result, self_or_result));
}
ACLNN_OP(aclnnLeakyReluBackward, (const Tensor& grad, const Tensor& self, const Scalar& slope,
                                  bool self_is_result, Tensor& grad_input)) {
  Store(grad_input, at::leaky_relu_backward(grad, self, slope, self_is_result));
}
ACLNN_OP(aclnnHardtanhBackward, (const Tensor& grad, const Tensor& self, const Scalar& min_val,
                                 const Scalar& max_val, Tensor& grad_input)) {
  Store(grad_input, at::hardtanh_backward(grad, self, min_val, max_val));
}
ACLNN_OP(aclnnThresholdBackward,
         (const Tensor& grad, const Tensor& self, const Scalar& threshold, Tensor& grad_input)) {
  Store(grad_input, at::threshold_backward(grad, self, threshold));
}
ACLNN_OP(aclnnHardshrinkBackward,
         (const Tensor& grad, const Tensor& self, const Scalar& lambd, Tensor& grad_input)) {
  Store(grad_input, at::hardshrink_backward(grad, self, lambd));
}
ACLNN_OP(aclnnSoftshrinkBackward,
         (const Tensor& grad, const Tensor& self, const Scalar& lambd, Tensor& grad_input)) {
  Store(grad_input, at::softshrink_backward(grad, self, lambd));
}
ACLNN_OP(aclnnSoftplusBackward, (const Tensor& grad, const Tensor& self, const Scalar& beta,
                                 const Scalar& threshold, Tensor& grad_input)) {
  Store(grad_input, at::softplus_backward(grad, self, beta, threshold));
}
ACLNN_OP(aclnnLogSigmoidBackward, (const Tensor& grad, const Tensor& self,
                                   const OptTensor& /*buffer*/, Tensor& grad_input)) {
  Store(grad_input, grad * at::sigmoid(-self));
}
ACLNN_OP(aclnnLogitGrad, (const Tensor& self, const Tensor& grad, double eps, Tensor& grad_input)) {
  Store(grad_input, at::logit_backward(grad, self, eps < 0 ? std::nullopt : std::optional(eps)));
}
ACLNN_OP(aclnnGluBackward,
         (const Tensor& grad, const Tensor& self, int64_t dim, Tensor& grad_input)) {
  Store(grad_input, at::glu_backward(grad, self, dim));
}
// SwiGlu with clamped halves; with groups, of the first rows only (aclnnClippedSwiglu.md).
ACLNN_PLANNED_OP(aclnnClippedSwiglu,
                 (const Tensor& x, const OptTensor& group_index, int64_t dim, double alpha,
                  double limit, double bias, bool interleaved, Tensor& out)) {
  Require(dim >= -x.dim() && dim < x.dim(), "dim ", dim, " is beyond x's dimensions");
  Require(limit > 0, "limit must be positive, got ", limit);
  Require(x.size(dim) % 2 == 0, "x must have an even size along dim, got ", x.size(dim));
  Require(!group_index || group_index->numel() <= 8192, "groupIndex must have at most 8192 groups");
  Require(out.numel() * 2 == x.numel(), "out must have half the elements of x");
  return [=]() mutable {
    const auto first = at::maybe_wrap_dim(dim, x.dim());
    const auto rows = c10::multiply_integers(x.sizes().slice(0, first));
    if (x.numel() == 0) return;
    const auto wanted = group_index ? group_index->sum().item<int64_t>() : rows;
    TORCH_CHECK(wanted >= 0 && wanted <= rows, "groupIndex adds up to ", wanted, " of ", rows,
                " rows");
    const Gate gate{true, interleaved ? 1 : 2, limit, alpha, bias};
    const auto values = x.reshape({rows, -1}).narrow(0, 0, wanted).to(at::kFloat);
    const auto whole = out.reshape({rows, -1});  // a copy where strides allow no view
    whole.narrow(0, 0, wanted).copy_(Apply(gate, values));
    out.copy_(whole.view(out.sizes()));
  };
}

// The gradient of silu(first half) * second half.
ACLNN_OP(aclnnSwiGluGrad,
         (const Tensor& grad, const Tensor& self, int64_t dim, Tensor& grad_input)) {
  const auto halves = Halves(self.to(at::kFloat), dim);
  const auto by_result = grad.to(at::kFloat);
  Store(grad_input, at::cat({at::silu_backward(by_result * halves[1], halves[0]),
                             by_result * at::silu(halves[0])},
                            dim));
}
ACLNN_OP(aclnnPreluBackward, (const Tensor& grad, const Tensor& self, const Tensor& weight,
                              Tensor& grad_input, Tensor& grad_weight)) {
  const auto factor = PerChannel(weight, self);
  Store(grad_input, at::where(self >= 0, grad, grad * factor));
  Store(grad_weight, at::where(self >= 0, 0, grad * self).sum_to_size(factor.sizes()));
}

}  // namespace ascend_sim::opapi
