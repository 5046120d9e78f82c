// SPDX-License-Identifier: Apache-2.0
//
// Rows of the model's dtype as floats and back: kernels read half precision, compute in float32 and
// round what they write, to nearest, halves to even.
#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstdint>

namespace ascend_sim::kernels::xlite {

using c10::BFloat16;
using c10::Half;

void Load(const BFloat16* from, int64_t n, float* to);
void Load(const Half* from, int64_t n, float* to);
void Load(const int8_t* from, int64_t n, float* to);
inline void Load(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }

void Store(const float* from, int64_t n, BFloat16* to);
void Store(const float* from, int64_t n, Half* to);
inline void Store(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }

// What is left of a number that was stored as a T.
template <class T>
float Rounded(float value) {
  return static_cast<float>(static_cast<T>(value));
}

}  // namespace ascend_sim::kernels::xlite
