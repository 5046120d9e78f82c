// SPDX-License-Identifier: Apache-2.0
//
// Mixture of experts: which experts a token goes to and with what weight, from the softmax of its
// scores (softmax_topk) or from the sigmoid of each (sigmoid_topk). Among equals the first expert
// wins; a device does not say which.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/experts/routing.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

// Indices of the `count` greatest of some numbers, greatest first.
class Greatest {
 public:
  explicit Greatest(size_t most) : order_(most) {}

  // Valid until the next call.
  const std::vector<uint32_t>& Of(const std::vector<float>& numbers, size_t count) {
    order_.resize(numbers.size());
    std::iota(order_.begin(), order_.end(), 0u);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](uint32_t a, uint32_t b) { return numbers[a] > numbers[b]; });
    order_.resize(count);
    return order_;
  }

 private:
  std::vector<uint32_t> order_;
};

// Writes the row of a token: the weights of the chosen experts, divided by their sum if
// `renormalise`, times `scale`, and 0 for the others.
template <class T>
void Choose(const std::vector<uint32_t>& chosen, const std::vector<float>& weights,
            bool renormalise, float scale, int64_t token, const RoutingMap<uint8_t>& routes,
            T* out) {
  float sum = 0.0f;
  for (const auto expert : chosen) sum += weights[expert];
  std::fill_n(out, weights.size(), T(0.0f));
  for (const auto expert : chosen) {
    out[expert] = static_cast<T>((renormalise ? weights[expert] / sum : weights[expert]) * scale);
    routes.Set(token, expert);
  }
}

// The `top` greatest of the softmax of the scores of each token.
template <class T>
KernelRun SoftmaxTopK(KernelLaunch& launch, const T* scores, const void* /*indices*/, T* weights,
                      uint8_t* map, uint32_t tokens, uint32_t experts, uint32_t top,
                      bool renormalise) {
  launch.Limit(experts == 128, "numRoutedExperts must be 128: the kernel sorts 4 x 32 lanes");
  launch.Require(top <= experts, "topK must be at most numRoutedExperts");
  const RoutingMap<uint8_t> routes(map, tokens, experts);
  const int64_t n = int64_t{tokens} * experts;
  launch.Reads(scores, n);
  launch.Writes(weights, n);
  launch.Writes(map, routes.Bytes());
  return [=] {
    routes.Clear();
    std::vector<float> row(experts);
    Greatest greatest(experts);
    for (int64_t token = 0; token < tokens; ++token) {
      Load(scores + token * experts, experts, row.data());
      const float highest = *std::max_element(row.begin(), row.end());
      for (float& value : row) value = std::exp(value - highest);
      const float sum = std::accumulate(row.begin(), row.end(), 0.0f);
      for (float& value : row) value /= sum;
      Choose(greatest.Of(row, top), row, renormalise, 1.0f, token, routes,
             weights + token * experts);
    }
  };
}

// How experts are grouped: only those of the `chosen` best of `count` groups are candidates. A
// group is as good as its two best experts together.
struct Groups {
  uint32_t count, chosen, size;

  void Check(const KernelLaunch& launch, uint32_t experts) const {
    launch.Require(count > 0 && experts % count == 0, "nGroup must divide numRoutedExperts");
    launch.Require(count == 1 || (0 < chosen && chosen <= count),
                   "nTopkGroup must be from 1 to nGroup");
    launch.Require(count == 1 || size >= 2, "a group must have two experts");
    launch.Limit(size % 32 == 0, "experts of a group must be a multiple of 32, which are sorted");
    launch.Limit(Candidates() >= 128,
                 "groups that are chosen must have 128 experts: the kernel sorts 4 x 32 lanes");
  }
  uint32_t Candidates() const { return count == 1 ? size : chosen * size; }

  // Makes the worst of all of what is no candidate.
  void Restrict(std::vector<float>& scores, Greatest& greatest) const {
    if (count == 1) return;
    std::vector<float> sums(count);
    for (uint32_t group = 0; group < count; ++group) {
      const std::vector<float> members(scores.begin() + group * size,
                                       scores.begin() + (group + 1) * size);
      const auto& best = greatest.Of(members, 2);
      sums[group] = members[best[0]] + members[best[1]];
    }
    std::vector<float> restricted(scores.size(), -std::numeric_limits<float>::infinity());
    for (const auto group : greatest.Of(sums, chosen)) {
      std::copy_n(scores.begin() + group * size, size, restricted.begin() + group * size);
    }
    scores = std::move(restricted);
  }
};

// The `top` candidates with the greatest sigmoid of score plus bias. The bias only chooses: the
// weights are without it.
template <class T>
KernelRun SigmoidTopK(KernelLaunch& launch, const T* scores, const void* /*indices*/,
                      const float* bias, float scale, T* weights, uint8_t* map, uint32_t tokens,
                      uint32_t experts, uint32_t group_count, uint32_t groups_chosen, uint32_t top,
                      bool renormalise) {
  launch.Require(bias != nullptr, "bias must be given");
  const Groups groups{group_count, groups_chosen, experts / std::max(group_count, 1u)};
  groups.Check(launch, experts);
  launch.Require(top <= groups.Candidates(), "topK must be at most the experts of chosen groups");
  const RoutingMap<uint8_t> routes(map, tokens, experts);
  const int64_t n = int64_t{tokens} * experts;
  launch.Reads(scores, n);
  launch.Reads(bias, experts);
  launch.Writes(weights, n);
  launch.Writes(map, routes.Bytes());
  return [=] {
    routes.Clear();
    std::vector<float> row(experts), biased(experts);
    Greatest greatest(experts);
    for (int64_t token = 0; token < tokens; ++token) {
      Load(scores + token * experts, experts, row.data());
      for (float& value : row) value = 1.0f / (1.0f + std::exp(-value));
      std::transform(row.begin(), row.end(), bias, biased.begin(), std::plus<float>());
      groups.Restrict(biased, greatest);
      Choose(greatest.Of(biased, top), row, renormalise, scale, token, routes,
             weights + token * experts);
    }
  };
}

}  // namespace

ASCEND_SIM_KERNEL(softmax_topk_bfloat16_t, SoftmaxTopK<BFloat16>);
ASCEND_SIM_KERNEL(softmax_topk_float, SoftmaxTopK<float>);
ASCEND_SIM_KERNEL(sigmoid_topk_bfloat16_t, SigmoidTopK<BFloat16>);
ASCEND_SIM_KERNEL(sigmoid_topk_float, SigmoidTopK<float>);

}  // namespace ascend_sim::kernels::xlite
