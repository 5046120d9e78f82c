// SPDX-License-Identifier: Apache-2.0
//
// Hand-written loops over float rows, for kernels where a chain of ATen calls would cost more than
// the work.
//
// Every function treats a row on its own and in a fixed order, so a row's result does not depend on
// how many rows there are: a padded batch in a graph gives the same bits as an eager one.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <bit>
#include <cstdint>

// On x86-64 the hot functions are compiled for AVX2 as well as for the baseline, and the better one
// is taken when the library is loaded. Elsewhere the baseline has the vectors that there are.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ASCEND_SIM_CLONES __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define ASCEND_SIM_CLONES
#endif

// In front of a loop over an array of registers, at most 8: unless it is unrolled, the array is
// kept in memory.
#define ASCEND_SIM_UNROLL _Pragma("GCC unroll 8")

namespace ascend_sim::opapi::simd {

// The width of one vector register: a wider type would be kept in memory.
#if defined(__x86_64__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

// A register of floats, loaded from and stored to any address.
typedef float Lanes
    __attribute__((vector_size(kLanes * sizeof(float)), aligned(alignof(float)), may_alias));

[[gnu::always_inline]] inline const Lanes& At(const float* row) {
  return *reinterpret_cast<const Lanes*>(row);
}

[[gnu::always_inline]] inline Lanes& At(float* row) { return *reinterpret_cast<Lanes*>(row); }

// The sum of the lanes, in a fixed order.
[[gnu::always_inline]] inline float SumOf(const Lanes& lanes) {
  float quarter[4];
  for (int i = 0; i < 4; ++i) {
    quarter[i] = lanes[i];
    if constexpr (kLanes == 8) quarter[i] += lanes[i + 4];
  }
  return (quarter[0] + quarter[1]) + (quarter[2] + quarter[3]);
}

// out[i] = a . (row i of b), for kRows rows at once: their sums do not wait for each other.
template <int kRows>
[[gnu::always_inline]] inline void Dots(const float* a, const float* b, int64_t b_stride, int64_t n,
                                        float* out) {
  Lanes sums[kRows];
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) sums[r] = Lanes{};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes& left = At(a + i);
    ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) sums[r] += left * At(b + r * b_stride + i);
  }
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) {
    float rest = 0.0f;
    for (int64_t k = i; k < n; ++k) rest += a[k] * b[r * b_stride + k];
    out[r] = SumOf(sums[r]) + rest;
  }
}

[[gnu::always_inline]] inline float Dot(const float* a, const float* b, int64_t n) {
  float out;
  Dots<1>(a, b, 0, n, &out);
  return out;
}

// out[i] = sum over rows r of weights[r] * b[r][i], for kVectors * kLanes columns, kept in
// registers.
template <int kVectors>
[[gnu::always_inline]] inline void WeightedSum(const float* weights, const float* b,
                                               int64_t b_stride, int64_t rows, float* out) {
  Lanes sums[kVectors];
  ASCEND_SIM_UNROLL for (int v = 0; v < kVectors; ++v) sums[v] = At(out + v * kLanes);
  for (int64_t r = 0; r < rows; ++r) {
    ASCEND_SIM_UNROLL for (int v = 0; v < kVectors; ++v) sums[v] +=
        weights[r] * At(b + r * b_stride + v * kLanes);
  }
  ASCEND_SIM_UNROLL for (int v = 0; v < kVectors; ++v) At(out + v * kLanes) = sums[v];
}

typedef int32_t IntLanes __attribute__((vector_size(kLanes * sizeof(int32_t))));

// x = e^x for x <= 0, to about one unit in the last place. Below -87, where that would be
// subnormal, 0.
[[gnu::always_inline]] inline void ExpOfNegative(Lanes& x) {
  const IntLanes keep = x >= -87.0f;  // all bits or none
  x = x < -87.0f ? Lanes{} - 87.0f : x;
  const float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, in the low bits
  const Lanes shifted = x * 1.44269504088896341f + shifter;
  const Lanes n = shifted - shifter;
  // x = n * ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts keeps r exact.
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntLanes exponent = ((IntLanes)shifted - std::bit_cast<int32_t>(shifter) + 127) << 23;
  x = (Lanes)((IntLanes)(p * (Lanes)exponent) & keep);
}

// Reads a row as floats: in place if it is one, else through `buffer`.
inline const float* AsFloats(const float* row, int64_t, float*) { return row; }
template <class T>
const float* AsFloats(const T* row, int64_t n, float* buffer) {
  for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(row[i]);
  return buffer;
}

}  // namespace ascend_sim::opapi::simd
