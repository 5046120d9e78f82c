// SPDX-License-Identifier: Apache-2.0
//
// Mixture of experts: which experts a token goes to (softmax_topk), its row once for each of them,
// in the order of experts (permutation), and the sum of what they made of it (unpermutation).
//
// A routing map has a bit for each token and expert, [tokens, experts], the lowest bit first,
// without padding.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

template <class Byte>
class RoutingMap {
 public:
  RoutingMap(Byte* bytes, int64_t tokens, int64_t experts)
      : bytes_(bytes), tokens_(tokens), experts_(experts) {}

  Byte* data() const { return bytes_; }
  int64_t Bytes() const { return (tokens_ * experts_ + 7) / 8; }
  void Clear() const { std::fill_n(bytes_, Bytes(), uint8_t{0}); }
  void Set(int64_t token, int64_t expert) const {
    const auto bit = token * experts_ + expert;
    bytes_[bit / 8] |= static_cast<uint8_t>(1u << bit % 8);
  }
  bool Has(int64_t token, int64_t expert) const {
    const auto bit = token * experts_ + expert;
    return bytes_[bit / 8] >> bit % 8 & 1;
  }

 private:
  Byte* bytes_;
  int64_t tokens_, experts_;
};

// Experts of this rank: [begin, end) of `count`.
struct Experts {
  uint32_t count, begin, end;

  void Check(const KernelLaunch& launch) const {
    launch.Require(begin <= end && end <= count,
                   "experts_end_idx must be from experts_start_idx to n_routed_experts");
  }
};

// Softmax of the scores of a token; the `top` greatest weights, divided by their sum if
// `renormalise`. `weights` [tokens, experts] has 0 for the other experts. Among equal weights the
// first expert wins; a device does not say which.
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
    std::vector<uint32_t> order(experts);
    for (int64_t token = 0; token < tokens; ++token) {
      Load(scores + token * experts, experts, row.data());
      const float greatest = *std::max_element(row.begin(), row.end());
      for (float& value : row) value = std::exp(value - greatest);
      const float sum = std::accumulate(row.begin(), row.end(), 0.0f);
      for (float& value : row) value /= sum;
      std::iota(order.begin(), order.end(), 0u);
      std::stable_sort(order.begin(), order.end(),
                       [&](uint32_t a, uint32_t b) { return row[a] > row[b]; });
      order.resize(top);
      float chosen = 0.0f;
      for (const auto expert : order) chosen += row[expert];
      T* out = weights + token * experts;
      std::fill_n(out, experts, T(0.0f));
      for (const auto expert : order) {
        out[expert] = static_cast<T>(renormalise ? row[expert] / chosen : row[expert]);
        routes.Set(token, expert);
      }
      order.resize(experts);
    }
  };
}

// `places`: for each expert and token, [experts, tokens], the rank of the token's row among those
// of the expert; then for each expert where its rows begin. The very first number is the number of
// all rows instead: that rank can only be 0.
class Places {
 public:
  Places(uint32_t* places, int64_t tokens, int64_t experts)
      : places_(places), tokens_(tokens), experts_(experts) {}

  int64_t Count() const { return experts_ * tokens_ + experts_; }
  uint32_t& Rank(int64_t expert, int64_t token) const { return places_[expert * tokens_ + token]; }
  uint32_t& Begin(int64_t expert) const { return places_[experts_ * tokens_ + expert]; }
  uint32_t& Total() const { return places_[0]; }
  int64_t Row(int64_t expert, int64_t token) const {
    return int64_t{Begin(expert)} + (expert == 0 && token == 0 ? 0 : Rank(expert, token));
  }

 private:
  uint32_t* places_;
  int64_t tokens_, experts_;
};

// Copies the row of a token, of 2-byte elements, once for each of its experts on this rank. There
// is room for `room` rows. `counts` gets how many rows each expert has.
KernelRun Permutation(KernelLaunch& launch, const uint16_t* in, const uint8_t* map, uint16_t* out,
                      uint32_t* numbers, uint32_t* counts, uint32_t tokens, uint32_t size,
                      uint32_t room, uint32_t count, uint32_t begin, uint32_t end) {
  const Experts experts{count, begin, end};
  experts.Check(launch);
  launch.Limit(size % 16 == 0, "dim must be a multiple of 16");
  const RoutingMap<const uint8_t> routes(map, tokens, count);
  const Places places(numbers, tokens, count);
  launch.Reads(in, int64_t{tokens} * size);
  launch.Reads(map, routes.Bytes());
  launch.Writes(out, int64_t{room} * size);
  launch.Writes(numbers, places.Count());
  launch.Writes(counts, count);
  return [=] {
    uint32_t total = 0;
    for (uint32_t expert = 0; expert < experts.count; ++expert) {
      uint32_t rank = 0;
      places.Begin(expert) = total;
      const bool here = experts.begin <= expert && expert < experts.end;
      for (uint32_t token = 0; here && token < tokens; ++token) {
        if (!routes.Has(token, expert)) continue;
        if (total + rank >= room) {
          throw std::runtime_error("the experts have more rows than max_expert_sorted, " +
                                   std::to_string(room));
        }
        std::copy_n(in + int64_t{token} * size, size, out + int64_t{total + rank} * size);
        places.Rank(expert, token) = rank++;
      }
      counts[expert] = rank;
      total += rank;
    }
    if (tokens > 0) places.Total() = total;
  };
}

// out = the sum over the experts of a token on this rank of weight * row, in float32.
template <class W>
KernelRun Unpermutation(KernelLaunch& launch, const BFloat16* in, const uint8_t* map, BFloat16* out,
                        uint32_t* numbers, const W* weights, uint32_t tokens, uint32_t size,
                        uint32_t count, uint32_t begin, uint32_t end) {
  const Experts experts{count, begin, end};
  experts.Check(launch);
  launch.Limit(size % 16 == 0, "dim must be a multiple of 16");
  const RoutingMap<const uint8_t> routes(map, tokens, count);
  const Places places(numbers, tokens, count);
  launch.Reads(map, routes.Bytes());
  launch.Reads(numbers, places.Count());
  launch.Reads(weights, int64_t{tokens} * count);
  launch.Writes(out, int64_t{tokens} * size);
  return [=] {
    at::parallel_for(0, tokens, 16, [&](int64_t first, int64_t last) {
      std::vector<float> row(size), sum(size);
      for (int64_t token = first; token < last; ++token) {
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (uint32_t expert = experts.begin; expert < experts.end; ++expert) {
          if (!routes.Has(token, expert)) continue;
          Load(in + places.Row(expert, token) * size, size, row.data());
          const float weight = static_cast<float>(weights[token * experts.count + expert]);
          for (uint32_t i = 0; i < size; ++i) sum[i] += weight * row[i];
        }
        Store(sum.data(), size, out + token * size);
      }
    });
  };
}

}  // namespace

ASCEND_SIM_KERNEL(softmax_topk_bfloat16_t, SoftmaxTopK<BFloat16>);
ASCEND_SIM_KERNEL(softmax_topk_float, SoftmaxTopK<float>);
ASCEND_SIM_KERNEL(permutation, Permutation);
ASCEND_SIM_KERNEL(unpermutation_bfloat16_t, Unpermutation<BFloat16>);
ASCEND_SIM_KERNEL(unpermutation_float, Unpermutation<float>);

}  // namespace ascend_sim::kernels::xlite
