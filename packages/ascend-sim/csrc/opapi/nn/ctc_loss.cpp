// SPDX-License-Identifier: Apache-2.0
//
// Connectionist temporal classification and its gradient (nn/loss/ctc_loss_v2*/docs). Half
// precision is computed in float32.
#include <algorithm>

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

struct Ctc {
  Tensor log_probs;  // [time, batch, classes]
  Tensor targets;    // [batch, longest], or [all of them]
  Ints input_lengths, target_lengths;
  int64_t blank;

  int64_t time() const { return log_probs.size(0); }
  int64_t batch() const { return log_probs.size(1); }
  int64_t classes() const { return log_probs.size(2); }
  // The number of labels of the longest target, with blanks around them.
  int64_t states() const { return 2 * *std::ranges::max_element(target_lengths) + 1; }
};

void CheckLengths(const Ints& lengths, int64_t batch, int64_t most, const char* name) {
  Require(static_cast<int64_t>(lengths.size()) == batch, name, " must have ", batch,
          " elements, one for each sequence, got ", lengths.size());
  for (const auto length : lengths) {
    Require(0 <= length && length <= most, name, " must be from 0 to ", most, ", got ", length);
  }
}

void Check(const Ctc& ctc) {
  Require(ctc.log_probs.dim() == 3 && ctc.log_probs.numel() > 0,
          "logProbs must be [time, batch, classes] and not empty, got ", ctc.log_probs.sizes());
  Require(0 <= ctc.blank && ctc.blank < ctc.classes(), "blank must be from 0 to ",
          ctc.classes() - 1, ", got ", ctc.blank);
  CheckLengths(ctc.input_lengths, ctc.batch(), ctc.time(), "inputLengths");
  const auto dims = ctc.targets.dim();
  Require(dims == 1 || dims == 2, "targets must have 1 or 2 dimensions, got ", dims);
  CheckLengths(ctc.target_lengths, ctc.batch(), ctc.targets.size(-1), "targetLengths");
  if (dims == 2) {
    Require(ctc.targets.size(0) == ctc.batch(), "targets must have ", ctc.batch(), " rows, got ",
            ctc.targets.size(0));
    return;
  }
  int64_t sum = 0;
  for (const auto length : ctc.target_lengths) sum += length;
  Require(sum == ctc.targets.numel(), "targets must have the ", sum,
          " elements that targetLengths add up to, got ", ctc.targets.numel());
}

// The targets as ATen takes them, which reads probabilities wherever they say. What lies beyond the
// length of a target is ignored.
Tensor LabelsOf(const Ctc& ctc) {
  auto labels = ctc.targets.to(at::kLong);
  if (labels.dim() == 2) {
    const auto lengths = at::tensor(ctc.target_lengths).unsqueeze(-1);
    labels = at::where(at::arange(labels.size(1), at::kLong) < lengths, labels, 0);
  }
  return PlacesAmong(ctc.classes(), labels, "targets").contiguous();
}

}  // namespace

// A loss of infinity, where a target does not fit into its input, is 0 with `zero_infinity`. On an
// A2 the last dimension of logAlpha is padded to a multiple of 8.
ACLNN_PLANNED_OP(aclnnCtcLoss,
                 (const Tensor& log_probs, const Tensor& targets, const Ints& input_lengths,
                  const Ints& target_lengths, int64_t blank, bool zero_infinity, Tensor& losses,
                  Tensor& log_alpha)) {
  const Ctc ctc{log_probs.dim() == 2 ? log_probs.unsqueeze(1) : log_probs, targets, input_lengths,
                target_lengths, blank};
  Check(ctc);
  Require(losses.numel() == ctc.batch(), "negLogLikelihoodOut must have ", ctc.batch(),
          " elements, got ", losses.numel());
  Require(log_alpha.dim() == 3 && log_alpha.size(0) == ctc.batch() &&
              log_alpha.size(1) == ctc.time() && log_alpha.size(2) >= ctc.states(),
          "logAlphaOut must be [", ctc.batch(), ", ", ctc.time(), ", ", ctc.states(),
          " or more], got ", log_alpha.sizes());
  return [=]() mutable {
    auto [loss, alpha] = at::_ctc_loss(Wide(ctc.log_probs), LabelsOf(ctc), ctc.input_lengths,
                                       ctc.target_lengths, ctc.blank, zero_infinity);
    if (zero_infinity) loss = loss.masked_fill(loss.isinf(), 0);
    Store(losses, loss);
    log_alpha.narrow(2, 0, ctc.states()).copy_(alpha);
  };
}

ACLNN_PLANNED_OP(aclnnCtcLossBackward,
                 (const Tensor& grad, const Tensor& log_probs, const Tensor& targets,
                  const Ints& input_lengths, const Ints& target_lengths, const Tensor& losses,
                  const Tensor& log_alpha, int64_t blank, bool zero_infinity, Tensor& out)) {
  const Ctc ctc{log_probs, targets, input_lengths, target_lengths, blank};
  Check(ctc);
  Require(grad.numel() == ctc.batch() && losses.numel() == ctc.batch(),
          "gradOut and negLogLikelihood must have ", ctc.batch(), " elements, got ", grad.numel(),
          " and ", losses.numel());
  Require(log_alpha.dim() == 3 && log_alpha.size(0) == ctc.batch() &&
              log_alpha.size(1) == ctc.time() && log_alpha.size(2) >= ctc.states(),
          "logAlpha must be [", ctc.batch(), ", ", ctc.time(), ", ", ctc.states(),
          " or more], got ", log_alpha.sizes());
  Require(out.sizes() == log_probs.sizes(), "out must have the shape of logProbs, ",
          log_probs.sizes(), ", got ", out.sizes());
  return [=]() mutable {
    const auto alpha = Wide(log_alpha.narrow(2, 0, ctc.states()));
    auto loss = Wide(losses);
    if (zero_infinity) {
      // The forward wrote 0 for infinity: no path leads to the end of such a target.
      for (int64_t i = 0; i < ctc.batch(); ++i) {
        const auto time = ctc.input_lengths[i], last = 2 * ctc.target_lengths[i];
        const auto end = std::max<int64_t>(last - 1, 0);
        const bool reached =
            time == 0 || alpha[i][time - 1].slice(0, end, last + 1).isfinite().any().item<bool>();
        if (!reached) loss[i] = INFINITY;
      }
    }
    Store(out, at::_ctc_loss_backward(Wide(grad), Wide(log_probs), LabelsOf(ctc), ctc.input_lengths,
                                      ctc.target_lengths, loss, alpha, ctc.blank, zero_infinity));
  };
}

}  // namespace ascend_sim::opapi
