// SPDX-License-Identifier: Apache-2.0
//
// Cross entropy with its log-probabilities, and its gradient by them
// (nn/loss/cross_entropy_loss*/docs), in float32.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

enum class Reduction { kNone, kMean, kSum };

Reduction ReductionOf(const std::string& name) {
  if (name == "none") return Reduction::kNone;
  if (name == "mean" || name.empty()) return Reduction::kMean;
  Require(name == "sum", "reduction must be 'none', 'mean' or 'sum', got '", name, "'");
  return Reduction::kSum;
}

struct Options {
  Reduction reduction;
  int64_t ignored;
  double smoothing;
};

// Each row's class and weight, and whether it counts; rows that do not count have weight 0.
struct Rows {
  Tensor classes, weights, counted;

  Rows(const Tensor& target, const OptTensor& class_weights, int64_t count, int64_t ignored) {
    const auto places = PlacesAmong(count, target, "target", ignored);
    const auto left_out = places == ignored;
    classes = places.masked_fill(left_out, 0);
    counted = left_out.logical_not().to(at::kFloat);
    weights =
        class_weights ? class_weights->to(at::kFloat).index_select(0, classes) * counted : counted;
  }
};

void Check(const Tensor& input, const Tensor& target, const OptTensor& weight, const Options& o,
           double zloss_scale) {
  Require(input.dim() == 2 && input.size(1) > 0, "input must be [rows, classes], got ",
          input.sizes());
  Require(target.sizes() == at::IntArrayRef({input.size(0)}), "target must have ", input.size(0),
          " elements, got the shape ", target.sizes());
  Require(!weight || weight->sizes() == at::IntArrayRef({input.size(1)}), "weight must have ",
          input.size(1), " elements");
  Require(0 <= o.smoothing && o.smoothing <= 1, "labelSmoothing must be from 0 to 1, got ",
          o.smoothing);
  Require(zloss_scale == 0, "zloss is not supported: lseSquareScaleForZloss must be 0, got ",
          zloss_scale);
}

void RequireLosses(const Tensor& losses, const Tensor& input, Reduction reduction,
                   const char* name) {
  const auto count = reduction == Reduction::kNone ? input.size(0) : 1;
  Require(losses.numel() == count, name, " must have ", count, " elements, got ", losses.numel());
}

}  // namespace

ACLNN_PLANNED_OP(aclnnCrossEntropyLoss,
                 (const Tensor& input, const Tensor& target, const OptTensor& weight,
                  const std::string& reduction, int64_t ignore_index, double label_smoothing,
                  double zloss_scale, bool zloss_wanted, Tensor& losses, Tensor& log_prob,
                  const OptTensor& /*zloss*/, const OptTensor& /*lse_for_zloss*/)) {
  const Options o{ReductionOf(reduction), ignore_index, label_smoothing};
  Check(input, target, weight, o, zloss_scale);
  Require(!zloss_wanted, "zloss is not supported: returnZloss must be false");
  RequireLosses(losses, input, o.reduction, "lossOut");
  Require(log_prob.sizes() == input.sizes(), "logProbOut must have the shape of input, ",
          input.sizes(), ", got ", log_prob.sizes());
  return [=]() mutable {
    const auto classes = input.size(1);
    const auto logs = at::log_softmax(Wide(input), -1);
    const Rows rows(target, weight, classes, o.ignored);
    auto each = -logs.gather(1, rows.classes.unsqueeze(1)).squeeze(1) * rows.weights;
    if (o.smoothing > 0) {
      const auto all = -(weight ? logs * *weight : logs).sum(1) * rows.counted;
      each = (1 - o.smoothing) * each + o.smoothing / static_cast<double>(classes) * all;
    }
    if (o.reduction != Reduction::kNone) each = each.sum();
    Store(losses, o.reduction == Reduction::kMean ? each / rows.weights.sum() : each);
    Store(log_prob, logs);
  };
}

ACLNN_PLANNED_OP(aclnnCrossEntropyLossGrad,
                 (const Tensor& grad, const Tensor& log_prob, const Tensor& target,
                  const OptTensor& weight, const OptTensor& grad_zloss,
                  const OptTensor& /*lse_for_zloss*/, const std::string& reduction,
                  int64_t ignore_index, double label_smoothing, double zloss_scale, Tensor& out)) {
  const Options o{ReductionOf(reduction), ignore_index, label_smoothing};
  Check(log_prob, target, weight, o, zloss_scale);
  Require(!grad_zloss || grad_zloss->numel() == 0,
          "zloss is not supported: gradZloss must be null");
  RequireLosses(grad, log_prob, o.reduction, "gradLoss");
  Require(out.sizes() == log_prob.sizes(), "out must have the shape of logProb, ", log_prob.sizes(),
          ", got ", out.sizes());
  // aclnnCrossEntropyLossGrad.md
  Limit(label_smoothing == 0, "labelSmoothing must be 0, got ", label_smoothing);
  return [=]() mutable {
    const auto classes = log_prob.size(1);
    const Rows rows(target, weight, classes, o.ignored);
    auto by_row = Wide(grad).reshape({-1});
    if (o.reduction == Reduction::kMean) by_row = by_row / rows.weights.sum();
    // The weight of each log-probability in the loss.
    auto shares = at::zeros(log_prob.sizes(), at::kFloat);
    shares.scatter_(1, rows.classes.unsqueeze(1),
                    ((1 - o.smoothing) * rows.weights * by_row).unsqueeze(1));
    if (o.smoothing > 0) {
      auto all = (by_row * rows.counted * (o.smoothing / static_cast<double>(classes)))
                     .expand({log_prob.size(0)})
                     .unsqueeze(1);
      shares = shares + (weight ? all * *weight : all);
    }
    Store(out, Wide(log_prob).exp() * shares.sum(1, /*keepdim=*/true) - shares);
  };
}

}  // namespace ascend_sim::opapi
