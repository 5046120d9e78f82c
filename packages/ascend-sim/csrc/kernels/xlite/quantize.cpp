// SPDX-License-Identifier: Apache-2.0
//
// bf16 to int8, by scales that are given (quant_static) or found in each row (quant_dynamic), and
// fp16 sums of int8 products to bf16 (dequant).
//
// The device rounds to fp16 on the way to int8: halves away from zero with given scales, to even
// with found ones.
#include "kernels/xlite/quantize.h"

#include <ATen/Parallel.h>

#include <bit>
#include <cmath>
#include <vector>

#include "ascend_sim/kernel.h"

namespace ascend_sim::kernels::xlite {
namespace {

constexpr int64_t kQuantizedPerTask = 1 << 15;

template <class OfRow>
void ForRows(int64_t rows, int64_t columns, const OfRow& of_row) {
  const int64_t grain = std::max<int64_t>(1, kQuantizedPerTask / std::max<int64_t>(columns, 1));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) of_row(row);
  });
}

int8_t Saturated(float integer) {
  if (std::isnan(integer)) return 0;
  return static_cast<int8_t>(std::clamp(integer, -128.0f, 127.0f));
}

// To fp16 and then to an integer, halves away from zero both times. What is below the normal range
// of fp16 becomes 0 either way.
int8_t AwayFromZero(float value) {
  constexpr uint32_t kHalfOfLastPlace = 1u << 12, kLostPlaces = (1u << 13) - 1;
  const auto bits = std::bit_cast<uint32_t>(value);
  return Saturated(std::round(std::bit_cast<float>((bits + kHalfOfLastPlace) & ~kLostPlaces)));
}

int8_t ToEven(float value) {
  return Saturated(std::nearbyint(static_cast<float>(static_cast<Half>(value))));
}

// out = x * reciprocal + offset, both of each column.
KernelRun QuantStatic(KernelLaunch& launch, const BFloat16* x, const BFloat16* reciprocals,
                      const BFloat16* offsets, int8_t* out, uint32_t rows, uint32_t columns) {
  launch.Reads(x, int64_t{rows} * columns);
  launch.Reads(reciprocals, columns);
  launch.Reads(offsets, columns);
  launch.Writes(out, int64_t{rows} * columns);
  return [=] {
    std::vector<float> factor(columns), offset(columns);
    Load(reciprocals, columns, factor.data());
    Load(offsets, columns, offset.data());
    ForRows(rows, columns, [&](int64_t row) {
      for (uint32_t i = 0; i < columns; ++i) {
        const float product = static_cast<float>(x[row * columns + i]) * factor[i];
        out[row * columns + i] = AwayFromZero(product + offset[i]);
      }
    });
  };
}

// scale = the greatest magnitude in the row / 127, out = x / scale. A row of zeros has scale 0 and
// stays zeros.
KernelRun QuantDynamic(KernelLaunch& launch, const BFloat16* x, float* scales, int8_t* out,
                       const uint32_t* count, uint32_t rows, uint32_t columns) {
  launch.Reads(x, int64_t{rows} * columns);
  launch.Reads(count, 1);
  launch.Writes(scales, rows);
  launch.Writes(out, int64_t{rows} * columns);
  return [=] {
    ForRows(RowsInUse(rows, count), columns, [&](int64_t row) {
      std::vector<float> values(columns);
      Load(x + row * columns, columns, values.data());
      float greatest = 0.0f;
      for (const float value : values) greatest = std::max(greatest, std::abs(value));
      scales[row] = greatest / 127.0f;
      const float factor = 127.0f / greatest;
      for (uint32_t i = 0; i < columns; ++i) out[row * columns + i] = ToEven(values[i] * factor);
    });
  };
}

// out = in, each row times its scale (null: none).
KernelRun Dequant(KernelLaunch& launch, const Half* in, const float* scales, BFloat16* out,
                  const uint32_t* count, uint32_t rows, uint32_t columns) {
  launch.Limit(columns % 16 == 0, "n must be a multiple of 16");
  launch.Reads(in, int64_t{rows} * columns);
  launch.Reads(scales, rows);
  launch.Reads(count, 1);
  launch.Writes(out, int64_t{rows} * columns);
  return [=] { DequantizeRows(in, scales, out, RowsInUse(rows, count), columns); };
}

}  // namespace

void DequantizeRows(const Half* in, const float* scales, BFloat16* out, int64_t rows,
                    int64_t columns) {
  ForRows(rows, columns, [&](int64_t row) {
    std::vector<float> values(columns);
    Load(in + row * columns, columns, values.data());
    if (scales != nullptr) {
      for (float& value : values) value *= scales[row];
    }
    Store(values.data(), columns, out + row * columns);
  });
}

ASCEND_SIM_KERNEL(quant_static_bfloat16_t, QuantStatic);
ASCEND_SIM_KERNEL(quant_dynamic_bfloat16_t, QuantDynamic);
ASCEND_SIM_KERNEL(dequant_float16_t, Dequant);

}  // namespace ascend_sim::kernels::xlite
