// SPDX-License-Identifier: Apache-2.0
//
// Quantization to int8 by given scales: of a tensor, and of its RMS norm.
#include "atb/operation.h"
#include "opapi/numerics/rms_norm.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using opapi::Require;

// round(x / scale) + offset within int8. An empty offset is none.
Tensor Quantized(const Tensor& x, const Tensor& scale, const Tensor& offset) {
  auto result = at::round(x.to(at::kFloat) / scale.to(at::kFloat));
  if (offset.numel() > 0) result = result + offset.to(at::kFloat);
  return result.clamp(-128, 127).to(at::kChar);
}

}  // namespace
}  // namespace ascend_sim::atb

// Inputs: x, scale, offset.
ASCEND_SIM_ATB_OPERATION(ElewiseParam, "ElewiseOperation", 3, 1) {
  Require(param.type == ::atb::infer::ElewiseParam::kQuantPerChannel, "elewiseType ", param.type,
          " is not supported: 17 (quantization with given scales) is");
  arguments.Expect(3, 1);
  const auto x = arguments.Input(0), scale = arguments.Input(1), offset = arguments.Input(2);
  const auto out = arguments.Output(0);
  Require(out.scalar_type() == at::kChar && out.sizes() == x.sizes(),
          "y must be an int8 tensor of x's shape");
  return [=] { out.copy_(Quantized(x, scale, offset)); };
}

// Inputs: x, gamma, beta, scale, offset.
ASCEND_SIM_ATB_OPERATION(RmsNormParam, "RmsNormOperation", 5, 1) {
  using Param = ::atb::infer::RmsNormParam;
  Require(param.layerType == Param::kNorm && param.norm.quantType == Param::kInt8,
          "only the plain norm with quantization to int8 is supported");
  Require(!param.norm.rstd && param.norm.precisionMode == 0 && param.norm.modelType == 0 &&
              param.norm.dynamicQuantType == 0,
          "rstd, precisionMode, modelType and dynamicQuantType must be 0");
  arguments.Expect(5, 1);
  const auto x = arguments.Input(0), gamma = arguments.Input(1), beta = arguments.Input(2);
  const auto scale = arguments.Input(3), offset = arguments.Input(4);
  const auto out = arguments.Output(0);
  Require(x.dim() > 0 && gamma.numel() == x.size(-1) && beta.numel() == x.size(-1),
          "gamma and beta must have the size of x's last dimension");
  Require(scale.numel() == 1 && offset.numel() == 1, "scale and offset must have one element");
  Require(out.scalar_type() == at::kChar && out.sizes() == x.sizes(),
          "output must be an int8 tensor of x's shape");
  return [=, epsilon = static_cast<double>(param.norm.epsilon)] {
    const auto norm = opapi::RmsNorm(x, gamma.flatten(), epsilon);
    out.copy_(Quantized(norm + beta.to(at::kFloat).flatten(), scale, offset));
  };
}
