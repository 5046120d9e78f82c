// SPDX-License-Identifier: Apache-2.0
//
// norm and qk_rms_norm: y = x / sqrt(s + epsilon) * weight + bias over groups of a row, in float32,
// rounded once.
#include <ATen/Parallel.h>

#include <cmath>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/rows.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::kernels::xlite {
namespace {

// What s is: the mean of squares; that of squares of differences from the mean; the sum of squares.
enum Kind : int32_t { kRms = 0, kLayer = 1, kL2 = 2 };

ASCEND_SIM_CLONES float SumOfSquares(const float* x, int64_t n) {
  return opapi::simd::Dot(x, x, n);
}

// Groups of `size` elements, `count` of them in a row, which begins `step` after the last one.
struct Groups {
  int64_t size, count, step, begin;

  int64_t At(int64_t row) const { return begin + row * step; }
  // From the first element of the buffer to behind the last of the groups.
  int64_t Extent(int64_t rows) const { return rows == 0 ? 0 : At(rows - 1) + count * size; }
};

template <class T>
struct NormCall {
  const T* in;
  T* addend;        // null: none. Added to `in`; gets the sum, rounded, at the places of `in`
  const T* weight;  // null: ones
  const T* bias;    // null: zeros
  void* out;        // of T, or float
  int64_t rows;
  Groups from;
  int64_t out_step, out_begin;
  float epsilon;
  int32_t kind;
  bool normalise;         // false: out gets s of each row, in float32
  const float* variance;  // null: from x. Else s * `ranks` for each row, summed over ranks
  uint32_t ranks;
  bool out_float;

  void Check(KernelLaunch& launch) const {
    launch.Limit(from.size % 16 == 0, "norm_dim must be a multiple of 16");
    launch.Require(kRms <= kind && kind <= kL2, "kind must be 0 (RMS), 1 (layer) or 2 (L2)");
    launch.Require(variance == nullptr || ranks > 0, "tpSize must be above 0");
  }

  void Touch(KernelLaunch& launch) const {
    const auto extent = from.Extent(rows) - from.begin;
    launch.Reads(in + from.begin, extent);
    if (addend != nullptr) launch.Writes(addend + from.begin, extent);
    launch.Reads(weight, from.size);
    launch.Reads(bias, from.size);
    launch.Reads(variance, rows);
    const Groups to{normalise ? from.size : 1, normalise ? from.count : 1, out_step, 0};
    if (normalise && !out_float) {
      launch.Writes(static_cast<T*>(out) + out_begin, to.Extent(rows));
    } else {
      launch.Writes(static_cast<float*>(out) + out_begin, to.Extent(rows));
    }
  }

  void Run() const {
    constexpr int64_t kElementsPerTask = 1 << 14;
    const auto grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, from.size));
    std::vector<float> weights(weight == nullptr ? 0 : from.size);
    std::vector<float> biases(bias == nullptr ? 0 : from.size);
    Load(weight, static_cast<int64_t>(weights.size()), weights.data());
    Load(bias, static_cast<int64_t>(biases.size()), biases.data());
    at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
      std::vector<float> x(from.size), y(from.size);
      for (int64_t row = begin; row < end; ++row) {
        for (int64_t group = 0; group < from.count; ++group) {
          const float s = Statistic(row, group, x, y);
          if (!normalise) {
            static_cast<float*>(out)[out_begin + row * out_step] = s;
            continue;
          }
          const float root = std::sqrt(s + epsilon);
          for (int64_t i = 0; i < from.size; ++i) {
            float value = x[i] / root;
            if (!weights.empty()) value *= weights[i];
            if (!biases.empty()) value += biases[i];
            y[i] = value;
          }
          const auto at = out_begin + row * out_step + group * from.size;
          if (out_float) {
            Store(y.data(), from.size, static_cast<float*>(out) + at);
          } else {
            Store(y.data(), from.size, static_cast<T*>(out) + at);
          }
        }
      }
    });
  }

 private:
  // Reads the group into x, less its mean in a layer norm, and returns its s.
  float Statistic(int64_t row, int64_t group, std::vector<float>& x,
                  std::vector<float>& buffer) const {
    const auto size = from.size, at = from.At(row) + group * size;
    Load(in + at, size, x.data());
    if (addend != nullptr) {
      Load(addend + at, size, buffer.data());
      for (int64_t i = 0; i < size; ++i) x[i] += buffer[i];
      Store(x.data(), size, addend + at);  // x itself is used on as it is
    }
    if (kind == kLayer) {
      float sum = 0.0f;
      for (const float value : x) sum += value;
      for (float& value : x) value -= sum / static_cast<float>(size);
    }
    if (variance != nullptr) return variance[row] / static_cast<float>(ranks);
    const float squares = SumOfSquares(x.data(), size);
    return kind == kL2 ? squares : squares / static_cast<float>(size);
  }
};

template <class T>
KernelRun Norm(KernelLaunch& launch, const T* in, T* addend, const T* weight, const T* bias,
               void* out, uint32_t rows, uint32_t size, float epsilon, int32_t kind, uint32_t count,
               uint32_t in_step, uint32_t out_step, uint32_t in_begin, uint32_t out_begin,
               bool normalise, const float* variance, uint32_t ranks, bool out_float) {
  const NormCall<T> call{
      in,       addend,    weight,  bias, out,       rows,     {size, count, in_step, in_begin},
      out_step, out_begin, epsilon, kind, normalise, variance, ranks,
      out_float};
  call.Check(launch);
  call.Touch(launch);
  return [call] { call.Run(); };
}

// Two RMS norms of one buffer: the heads of the queries, and from `k_begin` on those of the keys.
// Where only statistics are wanted, each has a buffer of its own for them.
template <class T>
KernelRun QkRmsNorm(KernelLaunch& launch, const T* in, const T* q_weight, const T* q_bias,
                    void* q_out, const T* k_weight, const T* k_bias, void* k_out, uint32_t rows,
                    uint32_t q_size, uint32_t q_count, uint32_t k_size, uint32_t k_count,
                    uint32_t in_step, uint32_t out_step, float epsilon, uint32_t k_begin,
                    bool normalise, const float* q_variance, const float* k_variance,
                    uint32_t ranks) {
  const NormCall<T> q{
      in,       nullptr, q_weight, q_bias, q_out,     rows,       {q_size, q_count, in_step, 0},
      out_step, 0,       epsilon,  kRms,   normalise, q_variance, ranks,
      false};
  const NormCall<T> k{in,
                      nullptr,
                      k_weight,
                      k_bias,
                      k_out,
                      rows,
                      {k_size, k_count, in_step, k_begin},
                      out_step,
                      normalise ? k_begin : 0,
                      epsilon,
                      kRms,
                      normalise,
                      k_variance,
                      ranks,
                      false};
  for (const auto& call : {q, k}) {
    call.Check(launch);
    call.Touch(launch);
  }
  return [q, k] {
    q.Run();
    k.Run();
  };
}

}  // namespace

ASCEND_SIM_KERNEL(norm_bfloat16_t, Norm<BFloat16>);
ASCEND_SIM_KERNEL(norm_float16_t, Norm<Half>);
ASCEND_SIM_KERNEL(qk_rms_norm_bfloat16_t, QkRmsNorm<BFloat16>);
ASCEND_SIM_KERNEL(qk_rms_norm_float16_t, QkRmsNorm<Half>);

}  // namespace ascend_sim::kernels::xlite
