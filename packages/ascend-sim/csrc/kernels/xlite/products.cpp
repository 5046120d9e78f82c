// SPDX-License-Identifier: Apache-2.0
//
// matmul, group_matmul and the product of int8 that scales its rows as well. What a device takes
// for its tiles (m0, n0, k0, swizzle) changes no result.
#include "kernels/xlite/products.h"

#include <algorithm>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/found_memory.h"
#include "kernels/xlite/quantize.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::kernels::xlite {
namespace {

using opapi::simd::At;
using opapi::simd::kLanes;
using opapi::simd::Lanes;

// out[r][j] = x[r] . w[j], for kRows * kOutputs sums that do not wait for each other.
template <int kRows, int kOutputs>
[[gnu::always_inline]] inline void Tile(const float* x, int64_t x_stride, int64_t k, const float* w,
                                        int64_t stride, float* out, int64_t out_stride) {
  Lanes sums[kRows][kOutputs];
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) sums[r][j] = Lanes{};
  }
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) {
      const Lanes right = At(w + j * stride + i);
      ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) sums[r][j] +=
          At(x + r * x_stride + i) * right;
    }
  }
  ASCEND_SIM_UNROLL for (int r = 0; r < kRows; ++r) {
    ASCEND_SIM_UNROLL for (int j = 0; j < kOutputs; ++j) {
      float rest = 0.0f;
      for (int64_t l = i; l < k; ++l) rest += x[r * x_stride + l] * w[j * stride + l];
      out[r * out_stride + j] = opapi::simd::SumOf(sums[r][j]) + rest;
    }
  }
}

template <int kRows>
[[gnu::always_inline]] inline void TileRow(const float* x, int64_t x_stride, int64_t k,
                                           const float* w, int64_t stride, int64_t outputs,
                                           float* out) {
  int64_t j = 0;
  for (; j + 4 <= outputs; j += 4) {
    Tile<kRows, 4>(x, x_stride, k, w + j * stride, stride, out + j, outputs);
  }
  for (; j < outputs; ++j) {
    Tile<kRows, 1>(x, x_stride, k, w + j * stride, stride, out + j, outputs);
  }
}

// The bias of fp16 is fp16, that of int8 is int32; others have theirs in float32.
template <class T>
using BiasOf = std::conditional_t<std::is_same_v<T, Half>, Half,
                                  std::conditional_t<std::is_same_v<T, int8_t>, int32_t, float>>;

template <class T>
Epilogue<T> EpilogueOf(const BiasOf<T>* bias, const uint64_t* scales, int64_t n) {
  Epilogue<T> epilogue;
  if (bias != nullptr) epilogue.bias.assign(bias, bias + n);
  if constexpr (std::is_same_v<T, int8_t>) {
    epilogue.scales.resize(n);
    std::transform(scales, scales + n, epilogue.scales.begin(), ScaleOf);
  }
  return epilogue;
}

template <class T>
void RequireScales(const KernelLaunch& launch, const void* scales) {
  if constexpr (std::is_same_v<T, int8_t>) {
    launch.Require(scales != nullptr, "sums of int8 need deqScale to become fp16");
  } else {
    launch.Require(scales == nullptr, "deqScale goes with int8: this kernel has no use for it");
  }
}

template <class T>
Weight<T> WeightOf(const KernelLaunch& launch, const T* data, int64_t n, int64_t k, bool fractal,
                   bool transposed) {
  launch.Require(n > 0 && k > 0, "n and k must be above 0");
  if constexpr (std::is_same_v<T, int8_t>) {
    launch.Require(k <= kMostExactTerms, "int32 holds sums of at most 131072 products of int8");
    launch.Limit(!fractal || !transposed || k % Weight<T>::kBlockColumns == 0,
                 "k of a transposed int8 weight in FRACTAL_NZ must be a multiple of 32");
  }
  return {data, n, k, fractal, transposed};
}

// z [m, n] = x [m, k] times w, plus bias [n]; of int8, times the scale of each output.
template <class T>
KernelRun Matmul(KernelLaunch& launch, const T* x, const T* w, typename Epilogue<T>::Out* z,
                 uint64_t m, uint64_t n, uint64_t k, uint64_t fractal, uint64_t transposed,
                 uint64_t /*m0*/, uint64_t /*n0*/, uint64_t /*k0*/, uint64_t /*swizzle*/,
                 const BiasOf<T>* bias, const uint64_t* scales) {
  RequireScales<T>(launch, scales);
  const auto weight = WeightOf(launch, w, n, k, fractal != 0, transposed != 0);
  launch.Reads(x, m * k);
  launch.Reads(w, weight.Elements());
  launch.Reads(bias, n);
  launch.Reads(scales, n);
  launch.Writes(z, m * n);
  return [=] {
    Multiply(x, static_cast<int64_t>(m), weight, EpilogueOf<T>(bias, scales, weight.n), z);
  };
}

// As Matmul and then dequant: `out` holds fp16 in between, and has it still in rows from *count on.
KernelRun MatmulDequant(KernelLaunch& launch, const int8_t* x, const int8_t* w, BFloat16* out,
                        const int32_t* bias, const uint64_t* scales, const float* row_scales,
                        const uint32_t* count, uint64_t m, uint64_t n, uint64_t k, uint64_t fractal,
                        uint64_t transposed, uint64_t /*m0*/, uint64_t /*n0*/, uint64_t /*k0*/) {
  RequireScales<int8_t>(launch, scales);
  const auto weight = WeightOf(launch, w, n, k, fractal != 0, transposed != 0);
  launch.Reads(x, m * k);
  launch.Reads(w, weight.Elements());
  launch.Reads(bias, n);
  launch.Reads(scales, n);
  launch.Reads(row_scales, m);
  launch.Reads(count, 1);
  launch.Writes(out, m * n);
  return [=] {
    Half* const halves = reinterpret_cast<Half*>(out);
    Multiply(x, static_cast<int64_t>(m), weight, EpilogueOf<int8_t>(bias, scales, weight.n),
             halves);
    DequantizeRows(halves, row_scales, out, RowsInUse(m, count), weight.n);
  };
}

// The rows of x are those of expert 0, then those of expert 1 and so on, as `counts` says; expert e
// has the weight at the address weights[e] and, of int8, the scales at scales[e]. Experts outside
// [begin, end) are another rank's and have no rows here.
template <class T>
KernelRun GroupMatmul(KernelLaunch& launch, const T* x, const T* const* weights,
                      typename Epilogue<T>::Out* z, const uint64_t* const* scales,
                      const uint32_t* counts, uint32_t experts, int64_t n, int64_t k,
                      uint64_t /*m0*/, uint64_t /*n0*/, uint64_t /*k0*/, uint32_t begin,
                      uint32_t end, bool fractal, bool transposed, uint64_t /*swizzle*/) {
  RequireScales<T>(launch, scales);
  launch.Require(begin <= end && end <= experts, "endIdx must be from startIdx to n");
  const auto shape = WeightOf<T>(launch, nullptr, n, k, fractal, transposed);
  launch.Reads(weights, experts);
  launch.Reads(scales, experts);
  launch.Reads(counts, experts);
  return [=, name = launch.Name()] {
    int64_t row = 0;
    for (uint32_t e = begin; e < end; row += counts[e++]) {
      if (counts[e] == 0) continue;
      const int64_t rows = counts[e];
      auto weight = shape;
      weight.data = weights[e];
      const uint64_t* const expert_scales = scales == nullptr ? nullptr : scales[e];
      const T* from = x + row * k;
      auto* to = z + row * n;
      FoundMemory memory(name);
      memory.Reads("the weight of an expert", weight.data, weight.Elements());
      if (scales != nullptr) memory.Reads("the scales of an expert", expert_scales, n);
      memory.Reads("x", from, rows * k);
      memory.Writes("z", to, rows * n);
      memory.Note();
      Multiply(from, rows, weight, EpilogueOf<T>(nullptr, expert_scales, n), to);
    }
  };
}

}  // namespace

ASCEND_SIM_CLONES void PanelProducts(const float* x, int64_t x_stride, int64_t rows, int64_t k,
                                     const float* panel, int64_t stride, int64_t outputs,
                                     float* out) {
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2) {
    TileRow<2>(x + r * x_stride, x_stride, k, panel, stride, outputs, out + r * outputs);
  }
  for (; r < rows; ++r) {
    TileRow<1>(x + r * x_stride, x_stride, k, panel, stride, outputs, out + r * outputs);
  }
}

void ExactPanelProducts(const float* x, int64_t x_stride, int64_t rows, int64_t k,
                        const float* panel, int64_t stride, int64_t outputs, int32_t* out) {
  constexpr int64_t kExactInFloat = 1024;  // terms of at most 2^14, up to 2^24
  std::fill_n(out, rows * outputs, 0);
  std::vector<float> part(rows * outputs);
  for (int64_t i = 0; i < k; i += kExactInFloat) {
    PanelProducts(x + i, x_stride, rows, std::min(kExactInFloat, k - i), panel + i, stride, outputs,
                  part.data());
    std::transform(part.begin(), part.end(), out, out,
                   [](float a, int32_t b) { return static_cast<int32_t>(a) + b; });
  }
}

ASCEND_SIM_KERNEL(matmul_bfloat16_t, Matmul<BFloat16>);
ASCEND_SIM_KERNEL(matmul_float16_t, Matmul<Half>);
ASCEND_SIM_KERNEL(matmul_float, Matmul<float>);
ASCEND_SIM_KERNEL(matmul_int8_t, Matmul<int8_t>);
ASCEND_SIM_KERNEL(fusion_operator_matmul_dequant_pipeline_int8_t, MatmulDequant);
ASCEND_SIM_KERNEL(group_matmul_bfloat16_t, GroupMatmul<BFloat16>);
ASCEND_SIM_KERNEL(group_matmul_float16_t, GroupMatmul<Half>);
ASCEND_SIM_KERNEL(group_matmul_float, GroupMatmul<float>);
ASCEND_SIM_KERNEL(group_matmul_int8_t, GroupMatmul<int8_t>);

}  // namespace ascend_sim::kernels::xlite
