// SPDX-License-Identifier: Apache-2.0
#include "opapi/numerics/quantize.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

at::Tensor NonZero(const at::Tensor& scale) { return scale.masked_fill(scale == 0, 1.0); }

Tensor RoundWithin(const Tensor& values, int64_t smallest, int64_t largest) {
  return values.round().clamp_(smallest, largest).to(at::kChar);
}

}  // namespace

Tensor RoundTo(const Tensor& values, at::ScalarType type) {
  // In double: float32 cannot hold the largest int32, to which a value saturates.
  const auto wide = values.to(at::kDouble).round();
  return AT_DISPATCH_INTEGRAL_TYPES(type, "RoundTo", [&] {
    using Bounds = std::numeric_limits<scalar_t>;
    return wide.clamp(Bounds::lowest(), Bounds::max()).to(type);
  });
}

Quantized QuantizeRows(const Tensor& rows, int64_t largest) {
  const auto values = rows.to(at::kFloat);
  const auto scale = values.abs().amax(-1, /*keepdim=*/true).div_(static_cast<double>(largest));
  return {RoundWithin(values / NonZero(scale), -largest - 1, largest), scale.squeeze(-1)};
}

QuantizedAsymmetric QuantizeRowsAsymmetric(const Tensor& rows, int64_t smallest, int64_t largest) {
  const auto values = rows.to(at::kFloat);
  const auto high = values.amax(-1, /*keepdim=*/true), low = values.amin(-1, /*keepdim=*/true);
  const auto scale = (high - low).div_(static_cast<double>(largest - smallest));
  const auto step = NonZero(scale);
  const auto offset = at::rsub(high / step, static_cast<double>(largest));
  return {RoundWithin(values / step + offset, smallest, largest), scale.squeeze(-1),
          offset.squeeze(-1)};
}

Tensor PackInt4(const Tensor& values) {
  const auto nibbles = values.to(at::kInt).bitwise_and(0xF).unflatten(-1, {-1, kInt4PerInt32});
  const auto shifts = at::arange(0, 4 * kInt4PerInt32, 4, at::kInt);
  // The places do not overlap: their sum is their union. int32 addition wraps into the sign bit.
  return nibbles.bitwise_left_shift(shifts).sum(-1, /*keepdim=*/false, at::kInt);
}

Tensor UnpackInt4(const Tensor& packed) {
  const auto shifts = at::arange(0, 4 * kInt4PerInt32, 4, at::kInt);
  const auto nibbles =
      packed.unsqueeze(-1).bitwise_right_shift(shifts).bitwise_and(0xF).flatten(-2);
  return ((nibbles + 8).bitwise_and(0xF) - 8).to(at::kChar);  // sign extension
}

void StoreIntegers(Tensor& y, const Tensor& values, bool int4) {
  Store(y, int4 ? PackInt4(RoundWithin(values, -8, 7)) : RoundTo(values, y.scalar_type()));
}

}  // namespace ascend_sim::opapi
