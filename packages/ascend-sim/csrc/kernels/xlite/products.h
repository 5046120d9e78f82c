// SPDX-License-Identifier: Apache-2.0
//
// The loops of matrix products. Every result is summed in float32, in an order that depends on k
// alone: a row's bits are the same whatever the batch.
#pragma once

#include <ATen/Parallel.h>

#include <cstdint>
#include <vector>

#include "kernels/xlite/weight.h"

namespace ascend_sim::kernels::xlite {

// out[r][j] = x[r] . panel[j], of rows of x that are k apart.
void PanelProducts(const float* x, int64_t rows, int64_t k, const float* panel, int64_t stride,
                   int64_t outputs, float* out);

// z [m, n] = x [m, k] times the weight, plus bias [n] (empty: none), rounded once.
template <class T>
void Multiply(const T* x, int64_t m, const Weight<T>& weight, const std::vector<float>& bias,
              T* z) {
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
    std::vector<float> panel(width * stride), sums(rows_at_once * width);
    for (int64_t row = 0; row < m; row += rows_at_once) {
      const int64_t rows = std::min(rows_at_once, m - row);
      for (int64_t first = begin * width; first < std::min(end * width, n); first += width) {
        const int64_t outputs = std::min(width, n - first);
        weight.LoadPanel(first, outputs, panel.data(), stride);
        PanelProducts(floats.data() + row * k, rows, k, panel.data(), stride, outputs, sums.data());
        for (int64_t r = 0; r < rows; ++r) {
          float* sum = sums.data() + r * outputs;
          for (int64_t j = 0; !bias.empty() && j < outputs; ++j) sum[j] += bias[first + j];
          Store(sum, outputs, z + (row + r) * n + first);
        }
      }
    }
  });
}

}  // namespace ascend_sim::kernels::xlite
