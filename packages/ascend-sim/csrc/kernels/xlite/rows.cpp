// SPDX-License-Identifier: Apache-2.0
#include "kernels/xlite/rows.h"

#include "opapi/numerics/simd.h"

namespace ascend_sim::kernels::xlite {
namespace {

using opapi::simd::At;
using opapi::simd::kLanes;
using opapi::simd::Lanes;

typedef uint32_t BitLanes __attribute__((vector_size(kLanes * sizeof(uint32_t))));
typedef uint16_t HalfLanes
    __attribute__((vector_size(kLanes * sizeof(uint16_t)), aligned(alignof(uint16_t)), may_alias));

typedef int8_t ByteLanes __attribute__((vector_size(kLanes), aligned(alignof(int8_t)), may_alias));

}  // namespace

ASCEND_SIM_CLONES void Load(const int8_t* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    At(to + i) = __builtin_convertvector(*reinterpret_cast<const ByteLanes*>(from + i), Lanes);
  }
  for (; i < n; ++i) to[i] = from[i];
}

ASCEND_SIM_CLONES void Load(const BFloat16* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const HalfLanes& halves = *reinterpret_cast<const HalfLanes*>(from + i);
    At(to + i) = (Lanes)(__builtin_convertvector(halves, BitLanes) << 16);
  }
  for (; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

ASCEND_SIM_CLONES void Store(const float* from, int64_t n, BFloat16* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Lanes& values = At(from + i);
    const BitLanes bits = (BitLanes)values;
    // Half of the last place kept, less one bit, plus that place: to nearest, halves to even.
    const BitLanes rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    const BitLanes is_nan = (BitLanes)(values != values);
    *reinterpret_cast<HalfLanes*>(to + i) =
        __builtin_convertvector((rounded & ~is_nan) | (is_nan & 0x7fc0), HalfLanes);
  }
  for (; i < n; ++i) to[i] = static_cast<BFloat16>(from[i]);
}

// The compiler's own type has the instructions of the processor.
ASCEND_SIM_CLONES void Load(const Half* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = std::bit_cast<_Float16>(from[i].x);
}

ASCEND_SIM_CLONES void Store(const float* from, int64_t n, Half* to) {
  for (int64_t i = 0; i < n; ++i) {
    to[i].x = std::bit_cast<uint16_t>(static_cast<_Float16>(from[i]));
  }
}

}  // namespace ascend_sim::kernels::xlite
