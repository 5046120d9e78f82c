// SPDX-License-Identifier: Apache-2.0
//
// Normalization over a batch or over groups of channels.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// x * sigmoid(scale * x) of the normalized groups: formula of npu_group_norm_swish, and with scale
// 1 that of npu_group_norm_silu.
void GroupNormSwish(const Tensor& self, const OptTensor& weight, const OptTensor& bias,
                    int64_t groups, double epsilon, double scale, Tensor& out, Tensor& mean,
                    Tensor& rstd) {
  const int64_t n = self.size(0), c = self.size(1);
  auto [normal, group_mean, group_rstd] =
      at::native_group_norm(Wide(self), Wide(weight), Wide(bias), n, c,
                            n * c == 0 ? 0 : self.numel() / (n * c), groups, epsilon);
  Store(out, normal * at::sigmoid(scale * normal));
  Store(mean, group_mean);
  Store(rstd, group_rstd);
}

}  // namespace

// Updates the running statistics in place when training. Saves the mean and the reciprocal of
// the standard deviation of the batch; saves nothing when not training.
ACLNN_OP(aclnnBatchNorm,
         (const Tensor& input, const OptTensor& weight, const OptTensor& bias,
          OptTensor& running_mean, OptTensor& running_var, bool training, double momentum,
          double epsilon, Tensor& out, Tensor& save_mean, Tensor& save_rstd)) {
  auto [result, mean, rstd] = at::native_batch_norm(input, weight, bias, running_mean, running_var,
                                                    training, momentum, epsilon);
  Store(out, result);
  if (!training) return;
  Store(save_mean, mean);
  Store(save_rstd, rstd);
}
ACLNN_OP(aclnnGroupNormSilu,
         (const Tensor& self, const OptTensor& gamma, const OptTensor& beta, int64_t groups,
          double epsilon, Tensor& out, Tensor& mean, Tensor& rstd)) {
  GroupNormSwish(self, gamma, beta, groups, epsilon, /*scale=*/1, out, mean, rstd);
}
ACLNN_OP(aclnnGroupNormSwish,
         (const Tensor& self, const OptTensor& gamma, const OptTensor& beta, int64_t groups,
          const std::string& data_format, double epsilon, bool activate_swish, double swish_scale,
          Tensor& out, Tensor& mean, Tensor& rstd)) {
  TORCH_CHECK(data_format == "NCHW" && activate_swish,
              "torch_npu calls this with NCHW and the activation only");
  GroupNormSwish(self, gamma, beta, groups, epsilon, swish_scale, out, mean, rstd);
}

}  // namespace ascend_sim::opapi
