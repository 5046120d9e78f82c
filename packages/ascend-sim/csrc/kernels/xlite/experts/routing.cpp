// SPDX-License-Identifier: Apache-2.0
//
// Mixture of experts: the row of a token once for each of its experts, in the order of experts
// (permutation), and the sum of what they made of it (unpermutation).
#include "kernels/xlite/experts/routing.h"

#include <ATen/Parallel.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

// Experts of this rank: [begin, end) of `count`.
struct Experts {
  uint32_t count, begin, end;

  void Check(const KernelLaunch& launch) const {
    launch.Require(begin <= end && end <= count,
                   "experts_end_idx must be from experts_start_idx to n_routed_experts");
  }
};

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

ASCEND_SIM_KERNEL(permutation, Permutation);
ASCEND_SIM_KERNEL(unpermutation_bfloat16_t, Unpermutation<BFloat16>);
ASCEND_SIM_KERNEL(unpermutation_float, Unpermutation<float>);

}  // namespace ascend_sim::kernels::xlite
