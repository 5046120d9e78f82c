// SPDX-License-Identifier: Apache-2.0
#include "opapi/numerics/scores.h"

#include <limits>

#include "opapi/numerics/simd.h"

namespace ascend_sim::opapi {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

ASCEND_SIM_CLONES void ScoreTokens(const float* q, int64_t rows, const float* k, int64_t k_stride,
                                   int64_t tokens, int64_t size, float scale, float* scores,
                                   int64_t scores_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* query = q + r * size;
    float* out = scores + r * scores_stride;
    int64_t t = 0;
    for (; t + 4 <= tokens; t += 4) simd::Dots<4>(query, k + t * k_stride, k_stride, size, out + t);
    for (; t < tokens; ++t) simd::Dots<1>(query, k + t * k_stride, k_stride, size, out + t);
    for (t = 0; t < tokens; ++t) out[t] *= scale;
  }
}

ASCEND_SIM_CLONES float Exponentiate(float* scores, int64_t n, float max) {
  simd::Lanes sums = {};
  int64_t i = 0;
  for (; i + simd::kLanes <= n; i += simd::kLanes) {
    simd::Lanes x = simd::At(scores + i) - max;
    simd::ExpOfNegative(x);
    simd::At(scores + i) = x;
    sums += x;
  }
  if (i < n) {
    simd::Lanes x = simd::Lanes{} - kInfinity;  // e^-inf = 0 adds nothing
    for (int64_t k = i; k < n; ++k) x[k - i] = scores[k] - max;
    simd::ExpOfNegative(x);
    for (int64_t k = i; k < n; ++k) scores[k] = x[k - i];
    sums += x;
  }
  return simd::SumOf(sums);
}

ASCEND_SIM_CLONES void AccumulateTokens(const float* weights, int64_t weights_stride, int64_t rows,
                                        const float* v, int64_t v_stride, int64_t tokens,
                                        int64_t size, float* out) {
  constexpr int kVectors = 8;  // half of the registers
  constexpr int64_t kWide = kVectors * simd::kLanes;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row_weights = weights + r * weights_stride;
    float* sums = out + r * size;
    int64_t i = 0;
    for (; i + kWide <= size; i += kWide) {
      simd::WeightedSum<kVectors>(row_weights, v + i, v_stride, tokens, sums + i);
    }
    for (; i + simd::kLanes <= size; i += simd::kLanes) {
      simd::WeightedSum<1>(row_weights, v + i, v_stride, tokens, sums + i);
    }
    for (; i < size; ++i) {
      for (int64_t t = 0; t < tokens; ++t) sums[i] += row_weights[t] * v[t * v_stride + i];
    }
  }
}

}  // namespace ascend_sim::opapi
