// SPDX-License-Identifier: Apache-2.0
//
// Fused operators of samplers.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

// npu_top_k_top_p_sample.md: which rows a limit does not apply to, and the values it has there.
constexpr int64_t kLargestTopK = 1024;

struct SampleOptions {
  double eps;              // added to the noise
  int64_t largest_k;       // a larger top_k is no limit
  bool input_is_logits;    // otherwise probabilities
  bool need_logits;        // fill `kept`
  bool need_distribution;  // fill `order` and `distribution`
};

// Tokens of a row in descending order, and the probabilities of those kept; 0 for the others.
struct Candidates {
  Tensor order, probability;
};

// Applies the limits in order. top_p keeps the smallest set that reaches it, as in
// npu_top_k_top_p.
Candidates Limited(const Tensor& logits, const Tensor& top_k, const Tensor& top_p,
                   const OptTensor& min_p, const SampleOptions& options) {
  const auto vocabulary = logits.size(1);
  auto [sorted, order] = logits.to(at::kFloat)
                             .sort(/*stable=*/std::optional<bool>(true),
                                   /*dim=*/-1, /*descending=*/true);
  const auto place = at::arange(vocabulary).unsqueeze(0);
  const auto column = [](const Tensor& t, at::ScalarType type) { return t.to(type).view({-1, 1}); };

  const auto k = column(top_k, at::kLong);
  const auto valid_k = (k >= 1) & (k <= std::min(vocabulary, options.largest_k));
  auto kept = ~valid_k | (place < k);
  const auto probability =
      options.input_is_logits
          ? sorted.masked_fill(~kept, -std::numeric_limits<float>::infinity()).softmax(-1)
          : sorted.masked_fill(~kept, 0);

  const auto p = column(top_p, at::kFloat);
  kept = kept & ((p >= 1) | (probability.cumsum(-1) - probability < p) | (place == 0));
  if (min_p) {
    const auto share = column(*min_p, at::kFloat).clamp(0, 1);
    kept = kept & (probability >= share * probability.narrow(1, 0, 1));
    kept = kept & ((share < 1) | (place == 0));
  }
  return {order, probability.masked_fill(~kept, 0)};
}

void Sample(const Tensor& logits, const Tensor& top_k, const Tensor& top_p, const OptTensor& q,
            const OptTensor& min_p, const SampleOptions& options, Tensor& selected, Tensor& kept,
            Tensor* order, Tensor* distribution) {
  const auto candidates = Limited(logits, top_k, top_p, min_p, options);
  // The noise is that of the place in descending order, not of the token.
  const auto score = q && !options.need_distribution ? candidates.probability / (*q + options.eps)
                                                     : candidates.probability;
  Store(selected, candidates.order.gather(1, score.argmax(-1, /*keepdim=*/true)));
  if (options.need_logits) {
    const auto none = options.input_is_logits ? -std::numeric_limits<double>::infinity() : 0.0;
    const auto stays = at::zeros_like(candidates.order, at::kBool)
                           .scatter_(1, candidates.order, candidates.probability > 0);
    Store(kept, logits.to(at::kFloat).masked_fill(~stays, none));
  }
  if (options.need_distribution) {
    Store(*order, candidates.order);
    Store(*distribution, candidates.probability);
  }
}

void CheckSample(const Tensor& logits, const Tensor& top_k, const Tensor& top_p) {
  Require(logits.dim() == 2 && logits.numel() > 0, "logits must be [batch, vocabulary], got ",
          logits.sizes());
  Require(top_k.numel() == logits.size(0) && top_p.numel() == logits.size(0),
          "top_k and top_p must have one number for each of ", logits.size(0), " rows, got ",
          top_k.numel(), " and ", top_p.numel());
}

}  // namespace

// Keeps the k largest logits of a row, then the smallest set of them with probability above p; the
// rest become -inf. Formula: npu_top_k_top_p's documentation (ascending stable sort; at least one
// element stays).
ACLNN_OP(aclnnApplyTopKTopP,
         (const Tensor& logits, const OptTensor& p, const OptTensor& k, Tensor& out)) {
  constexpr double kMasked = -std::numeric_limits<double>::infinity();
  auto [sorted, order] = at::sort(logits, /*stable=*/std::optional<bool>(true), /*dim=*/-1,
                                  /*descending=*/false);
  if (k.has_value()) {
    const auto position = (sorted.size(1) - k->to(at::kLong)).clamp(0, sorted.size(1) - 1);
    const auto threshold = sorted.gather(1, position.unsqueeze(1));
    sorted.masked_fill_(sorted < threshold, kMasked);
  }
  if (p.has_value()) {
    const auto probability = at::softmax(sorted, -1, at::kFloat);
    auto masked = at::cumsum(probability, -1) <= 1 - p->to(at::kFloat).unsqueeze(1);
    masked.select(1, -1).fill_(false);
    sorted.masked_fill_(masked, kMasked);
  }
  out.scatter_(-1, order, sorted);
}

ACLNN_PLANNED_OP(aclnnTopKTopPSample,
                 (const Tensor& logits, const Tensor& top_k, const Tensor& top_p,
                  const OptTensor& q, double eps, bool need_logits, int64_t /*top_k_guess*/,
                  Tensor& selected, Tensor& kept)) {
  CheckSample(logits, top_k, top_p);
  const SampleOptions options{eps, kLargestTopK, true, need_logits, false};
  return [=]() mutable {
    Sample(logits, top_k, top_p, q, std::nullopt, options, selected, kept, nullptr, nullptr);
  };
}
ACLNN_PLANNED_OP(aclnnTopKTopPSampleV2,
                 (const Tensor& logits, const Tensor& top_k, const Tensor& top_p,
                  const OptTensor& q, const OptTensor& min_ps, double eps, bool need_logits,
                  int64_t /*top_k_guess*/, int64_t ks_max, bool input_is_logits,
                  bool need_distribution, Tensor& selected, Tensor& kept, Tensor& order,
                  Tensor& distribution)) {
  CheckSample(logits, top_k, top_p);
  // ks_max is rounded up to a multiple of 8, and at most 1024.
  const auto largest_k = std::min(kLargestTopK, (ks_max + 7) / 8 * 8);
  const SampleOptions options{eps, largest_k, input_is_logits, need_logits, need_distribution};
  return [=]() mutable {
    Sample(logits, top_k, top_p, q, min_ps, options, selected, kept, &order, &distribution);
  };
}

}  // namespace ascend_sim::opapi
