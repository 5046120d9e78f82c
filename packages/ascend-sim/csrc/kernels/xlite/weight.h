// SPDX-License-Identifier: Apache-2.0
//
// The right-hand matrix of xlite's products.
#pragma once

#include <cstdint>

#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {

// Weights from k inputs to n outputs: stored [n, k], or [k, n] if `transposed`; row by row, or in
// FRACTAL_NZ: [columns / c0, rows / 16, 16, c0], padded, with c0 elements in 32 bytes.
template <class T>
struct Weight {
  const T* data;
  int64_t n, k;
  bool fractal, transposed;

  static constexpr int64_t kBlockRows = 16;
  static constexpr int64_t kBlockColumns = 32 / sizeof(T);

  // As it is stored.
  int64_t Rows() const { return transposed ? k : n; }
  int64_t Columns() const { return transposed ? n : k; }
  int64_t PaddedRows() const { return (Rows() + kBlockRows - 1) / kBlockRows * kBlockRows; }

  // Of its storage, with the padding.
  int64_t Elements() const {
    const int64_t blocks = (Columns() + kBlockColumns - 1) / kBlockColumns;
    return fractal ? blocks * kBlockColumns * PaddedRows() : n * k;
  }

  const T* At(int64_t row, int64_t column) const {
    if (!fractal) return data + row * Columns() + column;
    return data + (column / kBlockColumns * PaddedRows() + row) * kBlockColumns +
           column % kBlockColumns;
  }

  // How many outputs are best loaded together: a few rows, or as many as lie side by side in
  // blocks.
  int64_t OutputsPerPanel() const { return transposed ? kBlockColumns : 4; }

  // The weights of outputs [begin, begin + count), as rows of k floats that are `stride` apart.
  // `begin` is a multiple of OutputsPerPanel(), which `count` does not exceed.
  void LoadPanel(int64_t begin, int64_t count, float* panel, int64_t stride) const {
    if (transposed) {
      float buffer[kBlockColumns];
      for (int64_t i = 0; i < k; ++i) {
        Load(At(i, begin), count, buffer);
        for (int64_t j = 0; j < count; ++j) panel[j * stride + i] = buffer[j];
      }
      return;
    }
    const int64_t run = fractal ? kBlockColumns : k;
    for (int64_t j = 0; j < count; ++j) {
      for (int64_t i = 0; i < k; i += run) {
        Load(At(begin + j, i), std::min(run, k - i), panel + j * stride + i);
      }
    }
  }
};

}  // namespace ascend_sim::kernels::xlite
