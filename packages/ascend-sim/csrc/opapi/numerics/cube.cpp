// SPDX-License-Identifier: Apache-2.0
#include "opapi/numerics/cube.h"

namespace ascend_sim::opapi {
namespace {

// Sources: the values and their meaning on A2 and A3, CANN's aclnnMatmul.md, aclnnMm.md and
// aclnnConvolution.md; the number of bits, CANN's description of the option allow_hf32 ("11 bits");
// the rounding, SetHF32TransMode.md with the mode that the public matrix kernels set (1).
enum CubeMathType : int8_t {
  kKeepDtype = 0,
  kAllowDownPrecision = 1,  // float32 becomes HF32
  kUseFp16 = 2,
  kUseHf32 = 3,
  kUseFp32Add = 4,
};

// Rounds to 11 bits of mantissa: to nearest, halves towards zero.
Tensor RoundToHf32(const Tensor& value) {
  constexpr int kMantissaBits = 11, kFloatMantissaBits = 23;
  constexpr int32_t kDropped = (1 << (kFloatMantissaBits - kMantissaBits)) - 1;
  constexpr int32_t kBelowHalf = kDropped / 2;
  const auto bits = value.contiguous().view(at::kInt);
  const auto rounded = bits.add(kBelowHalf).bitwise_and_(~kDropped).view(at::kFloat);
  return at::where(value.isnan(), value, rounded);
}

}  // namespace

Cube::Cube(int8_t math_type) : math_type_(math_type) {
  Require(math_type >= kKeepDtype && math_type <= kUseFp32Add, "cubeMathType must be 0 to 4, got ",
          static_cast<int>(math_type));
}

Tensor Cube::operator()(const Tensor& operand) const {
  if (!NpuNumerics() || operand.scalar_type() != at::kFloat) return operand;
  switch (math_type_) {
    case kAllowDownPrecision:
    case kUseHf32:
      return RoundToHf32(operand);
    case kUseFp16:
      return operand.to(at::kHalf).to(at::kFloat);
    default:
      return operand;
  }
}

}  // namespace ascend_sim::opapi
