// SPDX-License-Identifier: Apache-2.0
//
// Normalization. Statistics and products are in float32; a result is rounded once, to its output's
// dtype.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/parts.h"
#include "opapi/numerics/simd.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

ASCEND_SIM_CLONES float SumOfSquares(const float* x, int64_t n) { return simd::Dot(x, x, n); }

ASCEND_SIM_CLONES void ScaleBy(const float* x, float factor, const float* weight, float bias,
                               float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * factor * (weight[i] + bias);
}

// Normalizes the rows that `gamma` spans: y = x * rstd * (gamma + gamma_bias).
// x [rows, n] and y [rows, n] of one dtype, contiguous; gamma [n] float; rstd [rows] float or null.
template <class T>
void RmsNormRows(const T* x, const float* gamma, float gamma_bias, float epsilon, T* y, float* rstd,
                 int64_t rows, int64_t n) {
  constexpr int64_t kElementsPerTask = 1 << 15;
  at::parallel_for(
      0, rows, std::max<int64_t>(1, kElementsPerTask / n), [&](int64_t begin, int64_t end) {
        std::vector<float> in(std::is_same_v<T, float> ? 0 : n),
            out(std::is_same_v<T, float> ? 0 : n);
        for (int64_t row = begin; row < end; ++row) {
          const float* values = simd::AsFloats(x + row * n, n, in.data());
          const float factor =
              1.0f / std::sqrt(SumOfSquares(values, n) / static_cast<float>(n) + epsilon);
          if (rstd != nullptr) rstd[row] = factor;
          if constexpr (std::is_same_v<T, float>) {
            ScaleBy(values, factor, gamma, gamma_bias, y + row * n, n);
          } else {
            ScaleBy(values, factor, gamma, gamma_bias, out.data(), n);
            for (int64_t i = 0; i < n; ++i) y[row * n + i] = static_cast<T>(out[i]);
          }
        }
      });
}

void RmsNormInto(const Tensor& x, const Tensor& gamma, double epsilon, Tensor& y, Tensor* rstd,
                 float gamma_bias = 0.0f) {
  TORCH_CHECK(x.scalar_type() == y.scalar_type(), "y must have x's dtype");
  TORCH_CHECK(x.dim() >= gamma.dim() && x.sizes().slice(x.dim() - gamma.dim()) == gamma.sizes(),
              "gamma's shape ", gamma.sizes(), " must be the last of x's dimensions ", x.sizes());
  TORCH_CHECK(y.sizes() == x.sizes(), "y must have x's shape ", x.sizes(), ", got ", y.sizes());
  const int64_t n = gamma.numel();
  if (x.numel() == 0) return;
  TORCH_CHECK(rstd == nullptr || rstd->numel() == 0 || rstd->numel() == x.numel() / n,
              "rstd must have one element for each of the ", x.numel() / n, " rows, got ",
              rstd == nullptr ? 0 : rstd->numel());
  const auto input = x.contiguous();
  const auto weight = gamma.to(at::kFloat).contiguous();
  const auto output = y.is_contiguous() ? y : at::empty_like(input);
  auto factors = rstd == nullptr || rstd->numel() == 0 ? Tensor()
                 : rstd->is_contiguous() && rstd->scalar_type() == at::kFloat
                     ? *rstd
                     : at::empty({x.numel() / n}, at::kFloat);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "RmsNorm", [&] {
    if constexpr (std::is_same_v<scalar_t, double>) {
      TORCH_CHECK(false, "x must be float16, bfloat16 or float32");
    } else {
      RmsNormRows(input.const_data_ptr<scalar_t>(), weight.const_data_ptr<float>(), gamma_bias,
                  static_cast<float>(epsilon), output.template data_ptr<scalar_t>(),
                  factors.defined() ? factors.data_ptr<float>() : nullptr, x.numel() / n, n);
    }
  });
  if (!output.is_same(y)) y.copy_(output);
  if (factors.defined() && !factors.is_same(*rstd)) Store(*rstd, factors);
}

void LayerNormInto(const Tensor& input, const Ints& normalized_shape, const OptTensor& weight,
                   const OptTensor& bias, double epsilon, Tensor& out, OptTensor& mean,
                   OptTensor& rstd) {
  auto [result, row_mean, row_rstd] =
      at::native_layer_norm(Wide(input), normalized_shape, Wide(weight), Wide(bias), epsilon);
  Store(out, result);
  if (mean && mean->numel() > 0) Store(*mean, row_mean);
  if (rstd && rstd->numel() > 0) Store(*rstd, row_rstd);
}

}  // namespace

ACLNN_OP(aclnnRmsNorm,
         (const Tensor& x, const Tensor& gamma, double epsilon, Tensor& y, Tensor& rstd)) {
  RmsNormInto(x, gamma, epsilon, y, &rstd);
}
ACLNN_OP(aclnnGemmaRmsNorm,
         (const Tensor& x, const Tensor& gamma, double epsilon, Tensor& y, Tensor& rstd)) {
  RmsNormInto(x, gamma, epsilon, y, &rstd, /*gamma_bias=*/1.0f);
}
// x = x1 + x2, rounded to its dtype; y = RmsNorm(x).
ACLNN_OP(aclnnAddRmsNorm, (const Tensor& x1, const Tensor& x2, const Tensor& gamma, double epsilon,
                           Tensor& y, Tensor& rstd, Tensor& x)) {
  at::add_out(x, x1, x2);
  RmsNormInto(x, gamma, epsilon, y, &rstd);
}
// As aclnnAddRmsNorm, with y also in float32.
ACLNN_OP(aclnnAddRmsNormCast, (const Tensor& x1, const Tensor& x2, const Tensor& gamma,
                               double epsilon, Tensor& y1, Tensor& y2, Tensor& rstd, Tensor& x)) {
  at::add_out(x, x1, x2);
  RmsNormInto(x, gamma, epsilon, y2, &rstd);
  Store(y1, y2);
}
// As aclnnAddRmsNorm: the sum replaces x2, the norm replaces x1.
ACLNN_OP(aclnnInplaceAddRmsNorm,
         (Tensor & x1, Tensor& x2, const Tensor& gamma, double epsilon, Tensor& rstd)) {
  x2.add_(x1);
  RmsNormInto(x2, gamma, epsilon, x1, &rstd);
}
ACLNN_OP(aclnnLayerNorm,
         (const Tensor& input, const Ints& normalized_shape, const OptTensor& weight,
          const OptTensor& bias, double epsilon, Tensor& out, OptTensor& mean, OptTensor& rstd)) {
  LayerNormInto(input, normalized_shape, weight, bias, epsilon, out, mean, rstd);
}
// x = x1 + x2, and a bias; out = LayerNorm(x). `x` is stored where the caller wants it.
ACLNN_OP(aclnnAddLayerNorm,
         (const Tensor& x1, const Tensor& x2, const Tensor& gamma, const Tensor& beta,
          const OptTensor& bias, double epsilon, bool additional_output, Tensor& out,
          OptTensor& mean, OptTensor& rstd, Tensor& x)) {
  auto sum = x1.to(at::kFloat) + x2.to(at::kFloat);
  if (bias) sum.add_(*bias);
  LayerNormInto(sum, {gamma.sizes().begin(), gamma.sizes().end()}, gamma, beta, epsilon, out, mean,
                rstd);
  if (additional_output) Store(x, sum);
}
ACLNN_OP(aclnnFastLayerNorm,
         (const Tensor& input, const Ints& normalized_shape, const OptTensor& weight,
          const OptTensor& bias, double epsilon, Tensor& out, OptTensor& mean, OptTensor& rstd)) {
  LayerNormInto(input, normalized_shape, weight, bias, epsilon, out, mean, rstd);
}
ACLNN_OP(aclnnGroupNorm,
         (const Tensor& self, const OptTensor& weight, const OptTensor& bias, int64_t n, int64_t c,
          int64_t hxw, int64_t groups, double epsilon, Tensor& out, Tensor& mean, Tensor& rstd)) {
  auto [result, group_mean, group_rstd] =
      at::native_group_norm(Wide(self), Wide(weight), Wide(bias), n, c, hxw, groups, epsilon);
  Store(out, result);
  Store(mean, group_mean);
  Store(rstd, group_rstd);
}

// silu(first half) * second half, along `dim`.
ACLNN_OP(aclnnSwiGlu, (const Tensor& self, int64_t dim, Tensor& out)) {
  const auto halves = Halves(self, dim);
  if (self.scalar_type() == at::kFloat) {
    at::silu_out(out, halves[0]);
    out.mul_(halves[1]);
  } else {
    out.copy_(at::silu(halves[0].to(at::kFloat)).mul_(halves[1]));
  }
}

}  // namespace ascend_sim::opapi
