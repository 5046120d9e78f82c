// SPDX-License-Identifier: Apache-2.0
//
// matmul and group_matmul. What a device takes for its tiles (m0, n0, k0, swizzle) changes no
// result.
#include "kernels/xlite/products.h"

#include <type_traits>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/found_memory.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::kernels::xlite {
namespace {

using opapi::simd::At;
using opapi::simd::kLanes;
using opapi::simd::Lanes;

// out[r][j] = x[r] . w[j], for kRows * kOutputs sums that do not wait for each other.
template <int kRows, int kOutputs>
[[gnu::always_inline]] inline void Tile(const float* x, int64_t k, const float* w, int64_t stride,
                                        float* out, int64_t out_stride) {
  Lanes sums[kRows][kOutputs];
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) sums[r][j] = Lanes{};
  }
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) {
      const Lanes right = At(w + j * stride + i);
      ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) sums[r][j] += At(x + r * k + i) * right;
    }
  }
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) {
      float rest = 0.0f;
      for (int64_t l = i; l < k; ++l) rest += x[r * k + l] * w[j * stride + l];
      out[r * out_stride + j] = opapi::simd::SumOf(sums[r][j]) + rest;
    }
  }
}

template <int kRows>
[[gnu::always_inline]] inline void TileRow(const float* x, int64_t k, const float* w,
                                           int64_t stride, int64_t outputs, float* out) {
  int64_t j = 0;
  for (; j + 4 <= outputs; j += 4) Tile<kRows, 4>(x, k, w + j * stride, stride, out + j, outputs);
  for (; j < outputs; ++j) Tile<kRows, 1>(x, k, w + j * stride, stride, out + j, outputs);
}

// The bias of fp16 is fp16; others have theirs in float32.
template <class T>
using BiasOf = std::conditional_t<std::is_same_v<T, Half>, Half, float>;

std::vector<float> Floats(const auto* values, int64_t n) {
  std::vector<float> floats(values == nullptr ? 0 : n);
  Load(values, static_cast<int64_t>(floats.size()), floats.data());
  return floats;
}

// z [m, n] = x [m, k] times w, plus bias [n].
template <class T>
KernelRun Matmul(KernelLaunch& launch, const T* x, const T* w, T* z, uint64_t m, uint64_t n,
                 uint64_t k, uint64_t fractal, uint64_t transposed, uint64_t /*m0*/,
                 uint64_t /*n0*/, uint64_t /*k0*/, uint64_t /*swizzle*/, const BiasOf<T>* bias,
                 const void* scales) {
  launch.Require(scales == nullptr, "deqScale goes with int8: this kernel has no use for it");
  launch.Require(k > 0, "k must be above 0");
  const Weight<T> weight{w, static_cast<int64_t>(n), static_cast<int64_t>(k), fractal != 0,
                         transposed != 0};
  launch.Reads(x, m * k);
  launch.Reads(w, weight.Elements());
  launch.Reads(bias, n);
  launch.Writes(z, m * n);
  return [=] {
    Multiply(x, static_cast<int64_t>(m), weight, Floats(bias, static_cast<int64_t>(n)), z);
  };
}

// The rows of x are those of expert 0, then those of expert 1 and so on, as `counts` says; expert e
// has the weight at the address weights[e]. Experts outside [begin, end) are another rank's and
// have no rows here.
template <class T>
KernelRun GroupMatmul(KernelLaunch& launch, const T* x, const T* const* weights, T* z,
                      const void* scales, const uint32_t* counts, uint32_t experts, int64_t n,
                      int64_t k, uint64_t /*m0*/, uint64_t /*n0*/, uint64_t /*k0*/, uint32_t begin,
                      uint32_t end, bool fractal, bool transposed, uint64_t /*swizzle*/) {
  launch.Require(scales == nullptr, "deqScales go with int8: this kernel has no use for them");
  launch.Require(begin <= end && end <= experts, "endIdx must be from startIdx to n");
  launch.Require(n > 0 && k > 0, "n and k must be above 0");
  launch.Reads(weights, experts);
  launch.Reads(counts, experts);
  return [=, name = launch.Name()] {
    int64_t row = 0;
    for (uint32_t e = begin; e < end; row += counts[e++]) {
      if (counts[e] == 0) continue;
      const int64_t rows = counts[e];
      const Weight<T> weight{weights[e], n, k, fractal, transposed};
      const T* from = x + row * k;
      T* to = z + row * n;
      FoundMemory memory(name);
      memory.Reads("the weight of an expert", weight.data, weight.Elements());
      memory.Reads("x", from, rows * k);
      memory.Writes("z", to, rows * n);
      memory.Note();
      Multiply(from, rows, weight, {}, to);
    }
  };
}

}  // namespace

ASCEND_SIM_CLONES void PanelProducts(const float* x, int64_t rows, int64_t k, const float* panel,
                                     int64_t stride, int64_t outputs, float* out) {
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) TileRow<2>(x + r * k, k, panel, stride, outputs, out + r * outputs);
  for (; r < rows; ++r) TileRow<1>(x + r * k, k, panel, stride, outputs, out + r * outputs);
}

ASCEND_SIM_KERNEL(matmul_bfloat16_t, Matmul<BFloat16>);
ASCEND_SIM_KERNEL(matmul_float16_t, Matmul<Half>);
ASCEND_SIM_KERNEL(matmul_float, Matmul<float>);
ASCEND_SIM_KERNEL(group_matmul_bfloat16_t, GroupMatmul<BFloat16>);
ASCEND_SIM_KERNEL(group_matmul_float16_t, GroupMatmul<Half>);
ASCEND_SIM_KERNEL(group_matmul_float, GroupMatmul<float>);

}  // namespace ascend_sim::kernels::xlite
