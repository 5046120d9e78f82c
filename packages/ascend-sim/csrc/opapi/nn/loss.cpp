// SPDX-License-Identifier: Apache-2.0
//
// Losses and their gradients, rounded once. `reduction` is torch's: 0 (none), 1 (mean), 2 (sum).
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// The gradient of a mean is that of the sum, divided by the number of elements.
Tensor Spread(const Tensor& grad, const Tensor& self, int64_t reduction) {
  return reduction == at::Reduction::Mean ? grad / self.numel() : grad;
}

}  // namespace

// --- values -------------------------------------------------------------------------------------

// Name(self, target, reduction) and its gradient.
#define LOSS(Name, function)                                                             \
  ACLNN_OP(aclnn##Name,                                                                  \
           (const Tensor& self, const Tensor& target, int64_t reduction, Tensor& out)) { \
    Store(out, at::function(Wide(self), Wide(target), reduction));                       \
  }
#define LOSS_BACKWARD(Name, function)                                                            \
  ACLNN_OP(aclnn##Name##Backward, (const Tensor& grad, const Tensor& self, const Tensor& target, \
                                   int64_t reduction, Tensor& grad_input)) {                     \
    Store(grad_input, at::function##_backward(Wide(grad), Wide(self), Wide(target), reduction)); \
  }

LOSS(MseLoss, mse_loss)
LOSS_BACKWARD(MseLoss, mse_loss)
LOSS(L1Loss, l1_loss)
LOSS(SoftMarginLoss, soft_margin_loss)
LOSS_BACKWARD(SoftMarginLoss, soft_margin_loss)

ACLNN_OP(aclnnL1LossBackward, (const Tensor& grad, const Tensor& self, const Tensor& target,
                               int64_t reduction, Tensor& grad_input)) {
  Store(grad_input, Spread(grad, self, reduction) * at::sgn(self - target));
}
ACLNN_OP(aclnnSmoothL1Loss,
         (const Tensor& self, const Tensor& target, int64_t reduction, float beta, Tensor& out)) {
  Store(out, at::smooth_l1_loss(Wide(self), Wide(target), reduction, beta));
}
ACLNN_OP(aclnnSmoothL1LossBackward, (const Tensor& grad, const Tensor& self, const Tensor& target,
                                     int64_t reduction, float beta, Tensor& grad_input)) {
  Store(grad_input,
        at::smooth_l1_loss_backward(Wide(grad), Wide(self), Wide(target), reduction, beta));
}

// --- classes ------------------------------------------------------------------------------------

// [C] or [N, C, ...]
int64_t ClassesOf(const Tensor& self) {
  Require(self.dim() > 0, "self must have a dimension of classes");
  return self.size(self.dim() == 1 ? 0 : 1);
}

#define NLL(Name, function)                                                                        \
  ACLNN_OP(aclnn##Name,                                                                            \
           (const Tensor& self, const Tensor& target, const OptTensor& weight, int64_t reduction,  \
            int64_t ignore_index, Tensor& out, Tensor& total_weight)) {                            \
    StorePair(out, total_weight,                                                                   \
              at::function##_forward(Wide(self), target.to(at::kLong), Wide(weight), reduction,    \
                                     ignore_index));                                               \
  }                                                                                                \
  ACLNN_OP(                                                                                        \
      aclnn##Name##Backward,                                                                       \
      (const Tensor& grad, const Tensor& self, const Tensor& target, const OptTensor& weight,      \
       int64_t reduction, int64_t ignore_index, const Tensor& total_weight, Tensor& grad_input)) { \
    const auto classes = PlacesAmong(ClassesOf(self), target, "target", ignore_index);             \
    Store(grad_input, at::function##_backward(Wide(grad), Wide(self), classes, Wide(weight),       \
                                              reduction, ignore_index, Wide(total_weight)));       \
  }

NLL(NLLLoss, nll_loss)
NLL(NLLLoss2d, nll_loss2d)

ACLNN_OP(aclnnBinaryCrossEntropy, (const Tensor& self, const Tensor& target,
                                   const OptTensor& weight, int64_t reduction, Tensor& out)) {
  Store(out, at::binary_cross_entropy(Wide(self), Wide(target), Wide(weight), reduction));
}
ACLNN_OP(aclnnBinaryCrossEntropyBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& target, const OptTensor& weight,
          int64_t reduction, Tensor& grad_input)) {
  Store(grad_input, at::binary_cross_entropy_backward(Wide(grad), Wide(self), Wide(target),
                                                      Wide(weight), reduction));
}
ACLNN_OP(aclnnBinaryCrossEntropyWithLogits,
         (const Tensor& self, const Tensor& target, const OptTensor& weight,
          const OptTensor& pos_weight, int64_t reduction, Tensor& out)) {
  Store(out, at::binary_cross_entropy_with_logits(Wide(self), Wide(target), Wide(weight),
                                                  Wide(pos_weight), reduction));
}
ACLNN_OP(aclnnBinaryCrossEntropyWithLogitsBackward,
         (const Tensor& grad, const Tensor& self, const Tensor& target, const OptTensor& weight,
          const OptTensor& pos_weight, int64_t reduction, Tensor& grad_input)) {
  // Of -(w * (p * y * log s(x) + (1 - y) * log(1 - s(x)))) with s the sigmoid and p pos_weight.
  const auto y = Wide(target), positive = pos_weight ? Wide(*pos_weight) * y : y;
  auto result = (positive + 1 - y) * at::sigmoid(Wide(self)) - positive;
  if (weight) result = result * Wide(*weight);
  Store(grad_input, Spread(Wide(grad), self, reduction) * result);
}

// --- distributions ------------------------------------------------------------------------------

ACLNN_OP(aclnnKlDiv, (const Tensor& self, const Tensor& target, int64_t reduction, bool log_target,
                      Tensor& out)) {
  Store(out, at::kl_div(Wide(self), Wide(target), reduction, log_target));
}
ACLNN_OP(aclnnKlDivBackward, (const Tensor& grad, const Tensor& self, const Tensor& target,
                              int64_t reduction, bool log_target, Tensor& grad_input)) {
  Store(grad_input, -Spread(grad, self, reduction) * (log_target ? target.exp() : target));
}
ACLNN_OP(aclnnKlDivTargetBackward, (const Tensor& grad, const Tensor& self, const Tensor& target,
                                    int64_t reduction, bool log_target, Tensor& grad_target)) {
  const auto by_target = log_target ? target.exp() * (target + 1 - self) : target.log() + 1 - self;
  const auto result = Spread(grad, self, reduction) * by_target;
  // The limit of t log t at 0.
  Store(grad_target, log_target ? result : result.masked_fill(target == 0, 0));
}

}  // namespace ascend_sim::opapi
