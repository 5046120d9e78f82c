// SPDX-License-Identifier: Apache-2.0
//
// Gradients of normalization, in float32.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

std::array<bool, 3> Mask(const Bools& wanted) { return {wanted.at(0), wanted.at(1), wanted.at(2)}; }

// The requested gradients of the input, the weight and the bias.
void StoreGradients(const Bools& wanted, OptTensor& input, OptTensor& weight, OptTensor& bias,
                    const std::tuple<Tensor, Tensor, Tensor>& gradients) {
  StoreIf(wanted[0], input, std::get<0>(gradients));
  StoreIf(wanted[1], weight, std::get<1>(gradients));
  StoreIf(wanted[2], bias, std::get<2>(gradients));
}

}  // namespace

ACLNN_OP(aclnnLayerNormBackward,
         (const Tensor& grad, const Tensor& input, const Ints& normalized_shape, const Tensor& mean,
          const Tensor& rstd, const OptTensor& weight, const OptTensor& bias, const Bools& wanted,
          OptTensor& grad_input, OptTensor& grad_weight, OptTensor& grad_bias)) {
  StoreGradients(
      wanted, grad_input, grad_weight, grad_bias,
      at::native_layer_norm_backward(Wide(grad), Wide(input), normalized_shape, Wide(mean),
                                     Wide(rstd), Wide(weight), Wide(bias), Mask(wanted)));
}
// Gradient of the norm of x1 + x2; `dsum` is the gradient that reaches the sum by another path.
ACLNN_PLANNED_OP(aclnnAddLayerNormGrad,
                 (const Tensor& grad, const Tensor& x1, const Tensor& x2, const Tensor& rstd,
                  const Tensor& mean, const Tensor& gamma, const OptTensor& dsum, Tensor& grad_x,
                  Tensor& grad_gamma, Tensor& grad_beta)) {
  const auto rows = x1.numel() / std::max<int64_t>(gamma.numel(), 1);
  Require(rstd.numel() == rows && mean.numel() == rows, "rstd and mean must have one element for ",
          "each of the ", rows, " rows, got ", rstd.numel(), " and ", mean.numel());
  Require(grad_x.sizes() == x1.sizes() && grad_gamma.sizes() == gamma.sizes() &&
              grad_beta.sizes() == gamma.sizes(),
          "dxOut must have the shape of x1, dgammaOut and dbetaOut that of gamma");
  return [=]() mutable {
    auto [x, weight, bias] =
        at::native_layer_norm_backward(Wide(grad), Wide(x1) + Wide(x2), gamma.sizes(), Wide(mean),
                                       Wide(rstd), Wide(gamma), Wide(gamma), {true, true, true});
    Store(grad_x, dsum ? x + *dsum : x);
    Store(grad_gamma, weight);
    Store(grad_beta, bias);
  };
}
ACLNN_OP(aclnnGroupNormBackward,
         (const Tensor& grad, const Tensor& input, const Tensor& mean, const Tensor& rstd,
          const OptTensor& gamma, int64_t n, int64_t c, int64_t hxw, int64_t groups,
          const Bools& wanted, OptTensor& grad_input, OptTensor& grad_gamma,
          OptTensor& grad_beta)) {
  StoreGradients(wanted, grad_input, grad_gamma, grad_beta,
                 at::native_group_norm_backward(Wide(grad), Wide(input), Wide(mean), Wide(rstd),
                                                Wide(gamma), n, c, hxw, groups, Mask(wanted)));
}
ACLNN_OP(aclnnBatchNormBackward,
         (const Tensor& grad, const Tensor& input, const OptTensor& weight,
          const OptTensor& running_mean, const OptTensor& running_var, const OptTensor& mean,
          const OptTensor& rstd, bool training, double epsilon, const Bools& wanted,
          OptTensor& grad_input, OptTensor& grad_weight, OptTensor& grad_bias)) {
  RequireSameShape(grad, input);
  Require(input.dim() >= 2 && input.numel() > 0, "input must not be empty, got ", input.sizes());
  StoreGradients(wanted, grad_input, grad_weight, grad_bias,
                 at::native_batch_norm_backward(Wide(grad), Wide(input), Wide(weight),
                                                Wide(running_mean), Wide(running_var), Wide(mean),
                                                Wide(rstd), training, epsilon, Mask(wanted)));
}
// Of y = x * rstd * gamma with rstd = (mean(x^2) + epsilon)^-1/2 over the dimensions of gamma.
ACLNN_OP(aclnnRmsNormGrad, (const Tensor& grad, const Tensor& x, const Tensor& rstd,
                            const Tensor& gamma, Tensor& grad_x, Tensor& grad_gamma)) {
  const auto rows = [&](const Tensor& t) { return Wide(t).view({-1, gamma.numel()}); };
  const auto factor = Wide(rstd).view({-1, 1});
  const auto normal = rows(x) * factor;
  const auto weighted = rows(grad) * Wide(gamma).view({-1});
  const auto mean = (weighted * normal).mean(-1, /*keepdim=*/true);
  Store(grad_x, ((weighted - normal * mean) * factor).view(x.sizes()));
  Store(grad_gamma, (rows(grad) * normal).sum(0).view(gamma.sizes()));
}

}  // namespace ascend_sim::opapi
