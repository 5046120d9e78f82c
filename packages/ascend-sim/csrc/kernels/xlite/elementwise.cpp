// SPDX-License-Identifier: Apache-2.0
//
// Sums, casts and gated activations: one result per element, in float32, rounded once.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/rows.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::kernels::xlite {
namespace {

using opapi::simd::At;
using opapi::simd::kLanes;
using opapi::simd::Lanes;

constexpr int64_t kElementsPerTask = 1 << 15;

// The device moves blocks of 32 bytes.
constexpr uint32_t kAlignedElements = 16;

template <class T, class Of>
void ForEach(int64_t n, T* out, const Of& of) {
  at::parallel_for(0, n, kElementsPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = static_cast<T>(of(i));
  });
}

// z = x + y, all [rows, columns].
template <class T>
KernelRun Add(KernelLaunch& launch, const T* x, const T* y, T* z, uint32_t rows, uint32_t columns) {
  const int64_t n = int64_t{rows} * columns;
  launch.Reads(x, n);
  launch.Reads(y, n);
  launch.Writes(z, n);
  return [=] {
    ForEach(n, z, [=](int64_t i) { return static_cast<float>(x[i]) + static_cast<float>(y[i]); });
  };
}

// z = x + bias for `n` elements in rows of `columns`.
template <class T>
KernelRun AddBias(KernelLaunch& launch, const T* x, const T* bias, T* z, uint32_t n,
                  uint32_t columns) {
  launch.Require(columns > 0 && n % columns == 0, "x must be whole rows of the length of y");
  launch.Reads(x, n);
  launch.Reads(bias, columns);
  launch.Writes(z, n);
  return [=] {
    ForEach(n, z, [=](int64_t i) {
      return static_cast<float>(x[i]) + static_cast<float>(bias[i % columns]);
    });
  };
}

template <class From, class To>
KernelRun Cast(KernelLaunch& launch, const From* x, To* y, uint32_t n) {
  launch.Reads(x, n);
  launch.Writes(y, n);
  return [=] { ForEach(n, y, [=](int64_t i) { return static_cast<float>(x[i]); }); };
}

// gate[i] = silu(gate[i]) * up[i]. A limit above 0 bounds the gate from above, `up` on both sides.
ASCEND_SIM_CLONES void Activate(float* gate, float* up, int64_t n, float limit) {
  if (limit > 0) {
    for (int64_t i = 0; i < n; ++i) gate[i] = std::min(gate[i], limit);
    for (int64_t i = 0; i < n; ++i) up[i] = std::clamp(up[i], -limit, limit);
  }
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes x = At(gate + i);
    Lanes e = x > 0.0f ? -x : x;  // e^-|x| does not overflow
    opapi::simd::ExpOfNegative(e);
    const Lanes numerator = x > 0.0f ? Lanes{} + 1.0f : e;
    At(gate + i) = x * (numerator / (e + 1.0f)) * At(up + i);
  }
  for (; i < n; ++i) gate[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

// y = silu(left half of a row) * right half, for min(rows, *count) rows: experts learn on the
// device how many rows they have.
template <class T>
KernelRun SiluAndMul(KernelLaunch& launch, const T* x, T* y, const uint32_t* count, uint32_t rows,
                     uint32_t columns, float limit) {
  launch.Limit(columns % kAlignedElements == 0, "dim must be a multiple of 16");
  launch.Reads(x, int64_t{rows} * 2 * columns);
  launch.Reads(count, 1);
  launch.Writes(y, int64_t{rows} * columns);
  return [=] {
    const int64_t used = count == nullptr ? rows : std::min(rows, *count);
    const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max(columns, 1u));
    at::parallel_for(0, used, grain, [=](int64_t begin, int64_t end) {
      std::vector<float> gate(columns), up(columns);
      for (int64_t row = begin; row < end; ++row) {
        Load(x + row * 2 * columns, columns, gate.data());
        Load(x + (row * 2 + 1) * columns, columns, up.data());
        Activate(gate.data(), up.data(), columns, limit);
        Store(gate.data(), columns, y + row * columns);
      }
    });
  };
}

}  // namespace

ASCEND_SIM_KERNEL(add_bfloat16_t, Add<BFloat16>);
ASCEND_SIM_KERNEL(add_float16_t, Add<Half>);
ASCEND_SIM_KERNEL(add_bias_bfloat16_t, AddBias<BFloat16>);
ASCEND_SIM_KERNEL(add_bias_float16_t, AddBias<Half>);
ASCEND_SIM_KERNEL(add_bias_float, AddBias<float>);
ASCEND_SIM_KERNEL(cast_bfloat16_t_float, Cast<BFloat16, float>);
ASCEND_SIM_KERNEL(cast_float_bfloat16_t, Cast<float, BFloat16>);
ASCEND_SIM_KERNEL(silu_and_mul_bfloat16_t, SiluAndMul<BFloat16>);
ASCEND_SIM_KERNEL(silu_and_mul_float16_t, SiluAndMul<Half>);
ASCEND_SIM_KERNEL(silu_and_mul_float, SiluAndMul<float>);

}  // namespace ascend_sim::kernels::xlite
