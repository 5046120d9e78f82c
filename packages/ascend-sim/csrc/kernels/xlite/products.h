// SPDX-License-Identifier: Apache-2.0
//
// The loops of matrix products. Sums of int8 products are exact; others are summed in float32, in
// an order that depends on k alone: a row's bits are the same whatever the batch.
#pragma once

#include <ATen/Parallel.h>

#include <bit>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "kernels/xlite/weight.h"

namespace ascend_sim::kernels::xlite {

// out[r][j] = x[r] . panel[j], of rows of x that are x_stride apart.
void PanelProducts(const float* x, int64_t x_stride, int64_t rows, int64_t k, const float* panel,
                   int64_t stride, int64_t outputs, float* out);

// The sums of products of int8, exact up to kMostExactTerms terms.
void ExactPanelProducts(const float* x, int64_t x_stride, int64_t rows, int64_t k,
                        const float* panel, int64_t stride, int64_t outputs, int32_t* out);
inline constexpr int64_t kMostExactTerms = 1 << 17;  // of at most 2^14 each, below 2^31

// What becomes of the sums of one row, outputs [first, first + count): a bias (empty: none) is
// added, and the result is rounded once.
template <class T>
struct Epilogue {
  using Sum = float;
  using Out = T;
  std::vector<float> bias;

  void operator()(float* sums, int64_t first, int64_t count, Out* out) const {
    for (int64_t j = 0; !bias.empty() && j < count; ++j) sums[j] += bias[first + j];
    Store(sums, count, out);
  }
};

// Of int8, the bias is int32, and each output has a scale that makes fp16 of it.
template <>
struct Epilogue<int8_t> {
  using Sum = int32_t;
  using Out = Half;
  std::vector<int32_t> bias;
  std::vector<float> scales;

  void operator()(int32_t* sums, int64_t first, int64_t count, Out* out) const {
    for (int64_t j = 0; j < count; ++j) {
      const int64_t sum = int64_t{sums[j]} + (bias.empty() ? 0 : bias[first + j]);
      out[j] = static_cast<Half>(static_cast<float>(sum) * scales[first + j]);
    }
  }
};

// A scale of int8 products, of which the device keeps 64 bits: the lower half is a float32 whose
// last 13 bits it does not look at.
inline float ScaleOf(uint64_t slot) {
  return std::bit_cast<float>(static_cast<uint32_t>(slot) & 0xffffe000u);
}

// z [m, n] = x [m, k] times the weight, after the epilogue.
template <class T>
void Multiply(const T* x, int64_t m, const Weight<T>& weight, const Epilogue<T>& epilogue,
              typename Epilogue<T>::Out* z) {
  constexpr int64_t kProductsPerTask = 1 << 16;
  constexpr int64_t kFloatsInCache = 1 << 16;
  const int64_t n = weight.n, k = weight.k;
  const int64_t width = weight.OutputsPerPanel(), panels = (n + width - 1) / width;
  const int64_t stride = k + 16;  // not a power of two, which would fall on one line of the cache
  const int64_t rows_at_once = std::max<int64_t>(8, kFloatsInCache / std::max<int64_t>(k, 1));
  std::vector<float> floats(m * k);
  at::parallel_for(0, m, std::max<int64_t>(1, kProductsPerTask / k),
                   [&](int64_t begin, int64_t end) {
                     Load(x + begin * k, (end - begin) * k, floats.data() + begin * k);
                   });
  const int64_t grain = std::max<int64_t>(1, kProductsPerTask / (m * k * width));
  at::parallel_for(0, panels, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> panel(width * stride);
    std::vector<typename Epilogue<T>::Sum> sums(rows_at_once * width);
    for (int64_t row = 0; row < m; row += rows_at_once) {
      const int64_t rows = std::min(rows_at_once, m - row);
      for (int64_t first = begin * width; first < std::min(end * width, n); first += width) {
        const int64_t outputs = std::min(width, n - first);
        weight.LoadPanel(first, outputs, panel.data(), stride);
        const float* from = floats.data() + row * k;
        if constexpr (std::is_same_v<T, int8_t>) {
          ExactPanelProducts(from, k, rows, k, panel.data(), stride, outputs, sums.data());
        } else {
          PanelProducts(from, k, rows, k, panel.data(), stride, outputs, sums.data());
        }
        for (int64_t r = 0; r < rows; ++r) {
          epilogue(sums.data() + r * outputs, first, outputs, z + (row + r) * n + first);
        }
      }
    }
  });
}

}  // namespace ascend_sim::kernels::xlite
