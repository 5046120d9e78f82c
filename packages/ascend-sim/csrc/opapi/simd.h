// SPDX-License-Identifier: Apache-2.0
//
// Hand-written loops over float rows, for kernels where a chain of ATen calls would cost more than the work.
//
// Every function treats a row on its own and in a fixed order, so a row's result does not depend on how many
// rows there are: a padded batch in a graph gives the same bits as an eager one.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <bit>
#include <cstdint>

// The hot functions are compiled for the vector units found at run time as well as for the baseline. GCC picks
// one when the library is loaded; elsewhere (aarch64's baseline has vectors) the baseline serves.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ASCEND_SIM_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ASCEND_SIM_CLONES
#endif

namespace ascend_sim::opapi::simd {

inline constexpr int kLanes = 16;

// Sum of f(i) over i < n, in kLanes interleaved partial sums.
template <class F>
[[gnu::always_inline]] inline float Sum(int64_t n, F&& f) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += f(i + j);
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; ++j) lanes[j] += lanes[j + width];
  }
  return lanes[0];
}

[[gnu::always_inline]] inline float Dot(const float* a, const float* b, int64_t n) {
  return Sum(n, [=](int64_t i) { return a[i] * b[i]; });
}

// e^x for x <= 0, to about one unit in the last place; no call, so that loops over it vectorise. Below -87,
// where the result would be subnormal, 0.
[[gnu::always_inline]] inline float ExpOfNegative(float x) {
  const bool underflow = x < -87.0f;
  x = underflow ? -87.0f : x;
  const float shifter = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = x * 1.44269504088896341f + shifter;
  const float n = shifted - shifter;
  // x = n * ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts keeps r exact.
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const auto exponent = (std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(shifter) + 127) << 23;
  const float y = p * std::bit_cast<float>(exponent);
  return underflow ? 0.0f : y;
}

// Reads a row as floats: in place if it is one, else through `buffer`.
inline const float* AsFloats(const float* row, int64_t, float*) { return row; }
template <class T>
const float* AsFloats(const T* row, int64_t n, float* buffer) {
  for (int64_t i = 0; i < n; ++i) buffer[i] = static_cast<float>(row[i]);
  return buffer;
}

}  // namespace ascend_sim::opapi::simd
