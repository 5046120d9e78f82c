// SPDX-License-Identifier: Apache-2.0
//
// Products of quantized matrices. Sums of int8 products are exact int32; formulas and combinations
// of dtypes are those of npu_quant_matmul.md and npu_weight_quant_batchmatmul.md.
#include "opapi/products/quant_matmul.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/quantize.h"

namespace ascend_sim::opapi {
namespace {

// aclnnTransQuantParamV3 packs a scale and an offset into 64 bits: the upper 19 bits of a float32,
// a flag, and a 9-bit integer.
constexpr int64_t kFp19Mask = 0xFFFFE000, kPackedFlag = int64_t{1} << 46;
constexpr int64_t kOffsetShift = 37, kOffsetMask = 0x1FF, kLowWord = 0xFFFFFFFF;

Tensor BitsOf(const Tensor& scale) {
  return scale.contiguous().view(at::kInt).to(at::kLong).bitwise_and(kLowWord);
}

// Half of the last of the 13 bits that are dropped: rounds the magnitude to nearest, ties to even.
Tensor RoundToFp19(const Tensor& bits) {
  const auto last_kept = bits.bitwise_right_shift(13).bitwise_and(1);
  return bits + 0xFFF + last_kept;
}

Tensor PackedScale(const Tensor& packed) {
  return packed.bitwise_and(kLowWord).to(at::kInt).view(at::kFloat);
}

Tensor PackedOffset(const Tensor& packed) {
  const auto bits = packed.bitwise_right_shift(kOffsetShift).bitwise_and(kOffsetMask);
  return ((bits + 256).bitwise_and(kOffsetMask) - 256).to(at::kFloat);
}

bool IsPacked(const Tensor& scale) {
  return scale.scalar_type() == at::kLong || scale.scalar_type() == at::kUInt64;
}

bool IsInt4InInt32(const Tensor& tensor) { return tensor.scalar_type() == at::kInt; }

bool Given(const OptTensor& tensor) { return tensor && tensor->numel() > 0; }

OptTensor IfGiven(const OptTensor& tensor) { return Given(tensor) ? tensor : OptTensor(); }

}  // namespace

Tensor Int8Matrix(const Tensor& x2, int64_t k) {
  if (!IsInt4InInt32(x2)) return x2;
  return x2.size(-2) == k ? UnpackInt4(x2) : UnpackInt4(x2.transpose(-1, -2)).transpose(-1, -2);
}

Tensor IntMatmul(const Tensor& x1, const Tensor& x2) {
  // float32 holds sums of so many products of int8 exactly: 1024 * 128 * 128 = 2^24.
  constexpr int64_t kExact = 1024;
  const auto k = x1.size(-1);
  const auto part = [&](int64_t begin) {
    const auto size = std::min(kExact, k - begin);
    return at::matmul(x1.narrow(-1, begin, size).to(at::kFloat),
                      x2.narrow(-2, begin, size).to(at::kFloat))
        .to(at::kInt);
  };
  auto sum = part(0);
  for (int64_t begin = kExact; begin < k; begin += kExact) sum += part(begin);
  return sum;
}

Tensor Dequantize(const Tensor& product, const Dequant& d) {
  const bool integer_bias = d.bias && d.bias->scalar_type() == at::kInt;
  auto values = (integer_bias ? product + *d.bias : product).to(at::kFloat);
  if (d.scale) {
    const bool packed = IsPacked(*d.scale);
    values *= packed ? PackedScale(*d.scale) : *d.scale;
    // torch_npu packs an offset and passes it too: it counts once.
    if (packed && !d.offset) values += PackedOffset(*d.scale);
  }
  if (d.per_token_scale) values *= d.per_token_scale->unsqueeze(-1);
  if (d.offset) values += *d.offset;
  if (d.bias && !integer_bias) values += *d.bias;
  return values;
}

void StoreRounded(Tensor& out, const Tensor& values) {
  Store(out,
        at::isIntegralType(out.scalar_type(), /*includeBool=*/false) && values.is_floating_point()
            ? RoundTo(values, out.scalar_type())
            : values);
}

Tensor AntiQuantize(const Tensor& weight, const Tensor& scale, const OptTensor& offset,
                    int64_t group_size) {
  const auto k = weight.size(-2);
  const auto by_row = [&](const Tensor& t) {
    const auto wide = t.to(at::kFloat);
    if (wide.dim() < 2 || wide.size(-2) == 1) return wide;
    const auto rows = group_size > 0 ? group_size : k / wide.size(-2);
    return wide.repeat_interleave(rows, -2).narrow(-2, 0, k);
  };
  auto values = weight.to(at::kFloat);
  if (offset) values = values + by_row(*offset);
  return values * by_row(scale);
}

static Work PlanTransQuantParam(const Tensor& scale, const OptTensor& offset, int64_t round_mode,
                                Tensor out) {
  Require(scale.scalar_type() == at::kFloat && (!offset || offset->scalar_type() == at::kFloat),
          "scale and offset must be float32");
  Require(scale.dim() == 1 || scale.dim() == 2, "scale must have 1 or 2 dimensions");
  Require(scale.numel() > 0, "scale must not be empty");
  Require(round_mode == 0 || round_mode == 1, "roundMode must be 0 or 1, got ", round_mode);
  return [=]() mutable {
    const auto bits = BitsOf(scale);
    auto packed = (round_mode == 1 ? RoundToFp19(bits) : bits).bitwise_and(kFp19Mask) + kPackedFlag;
    if (offset) {
      const auto places = offset->round().clamp(-256, 255).to(at::kLong).bitwise_and(kOffsetMask);
      packed = packed + places.bitwise_left_shift(kOffsetShift);
    }
    out.copy_(packed);
  };
}

ACLNN_PLANNED_OP(aclnnTransQuantParamV3,
                 (const Tensor& scale, const OptTensor& offset, int64_t round_mode, Tensor& out)) {
  return PlanTransQuantParam(scale, offset, round_mode, out);
}
ACLNN_PLANNED_OP(aclnnTransQuantParamV2,
                 (const Tensor& scale, const OptTensor& offset, Tensor& out)) {
  return PlanTransQuantParam(scale, offset, /*round_mode=*/0, out);
}

#define QUANT_MATMUL_PARAMS                                                                       \
  const Tensor &x1, const FormattedTensor &x2, const OptTensor &x1_scale, const Tensor &x2_scale, \
      const OptTensor &y_scale, const OptTensor &x1_offset, const OptTensor &x2_offset,           \
      const OptTensor &y_offset, const OptTensor &bias, bool transpose_x1, bool transpose_x2,     \
      int64_t group_size, Tensor &out

// What is applied to the product before it is rounded.
using Epilogue = Tensor (*)(const Tensor&);

static Work PlanQuantMatmul(QUANT_MATMUL_PARAMS, Epilogue activation = nullptr) {
  Require(!Given(y_scale) && !Given(x1_offset) && !Given(y_offset),
          "yScale, x1Offset and yOffset are not supported");
  Require(!transpose_x1 && !transpose_x2, "transposeX1 and transposeX2 must be false");
  Require(group_size == 0, "groupSize must be 0: scales per group are not supported");
  const bool int4 = IsInt4InInt32(x1) && x2.scalar_type() == at::kInt;
  Require(int4 || (x1.scalar_type() == at::kChar && x2.scalar_type() == at::kChar),
          "x1 and x2 must both be int8, or int4 in int32, got ", x1.scalar_type(), " and ",
          x2.scalar_type());
  Require(x1.dim() >= 2 && x1.dim() <= 6 && x2.dim() >= 2 && x2.dim() <= 6,
          "x1 and x2 must have 2 to 6 dimensions");
  const auto k = x1.size(-1) * (int4 ? 8 : 1), m = x1.size(-2), n = out.size(-1);
  const auto x2_rows = x2.size(-2), x2_columns = x2.size(-1);
  Require(x2_rows == k || (int4 && x2_rows * 8 == k), "x2 must have ", k,
          " rows, as x1 has columns, got ", x2_rows);
  Require(x2_scale.numel() == 1 || x2_scale.numel() == n, "x2Scale must have 1 or ", n,
          " elements, got ", x2_scale.numel());
  Require(!x1_scale || x1_scale->numel() == m || x1_scale->numel() == 1,
          "x1Scale must have one element for each of the ", m, " rows of x1");
  // The rest: npu_quant_matmul.md.
  const auto type = out.scalar_type(), scale_type = x2_scale.scalar_type();
  Limit(x1.size(-1) <= 65535 && x2_columns <= 65535,
        "the last dimensions of x1 and x2 must be at most 65535");
  Limit(type == at::kChar || type == at::kHalf || type == at::kBFloat16 || type == at::kInt,
        "out must be int8, float16, bfloat16 or int32, got ", type);
  Limit(!Given(x2_offset) || type == at::kChar || int4, "x2Offset is only taken with an int8 out");
  Limit(type != at::kChar || (IsPacked(x2_scale) && !x1_scale),
        "an int8 out takes an int64 x2Scale and no x1Scale");
  Limit(type != at::kBFloat16 || int4 || scale_type == at::kFloat || scale_type == at::kBFloat16,
        "a bfloat16 out takes a float32 or bfloat16 x2Scale, got ", scale_type);
  Limit(type != at::kHalf || !x1_scale || int4 || scale_type == at::kFloat,
        "a float16 out with x1Scale takes a float32 x2Scale, got ", scale_type);
  Limit(!bias || bias->scalar_type() == at::kInt || x1_scale || type == at::kBFloat16,
        "bias must be int32 for this out, got ", bias ? bias->scalar_type() : at::kInt);
  const Dequant dequant{bias, x2_scale, IfGiven(x2_offset), x1_scale};
  return [=]() mutable {
    const auto product = IntMatmul(int4 ? UnpackInt4(x1) : x1, Int8Matrix(x2.Read(), k));
    if (out.scalar_type() == at::kInt) {  // the sums themselves: another operator scales them
      Store(out, bias ? product + *bias : product);
    } else {
      const auto values = Dequantize(product, dequant);
      StoreRounded(out, activation == nullptr ? values : activation(values));
    }
  };
}

#define PLAN_QUANT_MATMUL()                                                                   \
  return PlanQuantMatmul(x1, x2, x1_scale, x2_scale, y_scale, x1_offset, x2_offset, y_offset, \
                         bias, transpose_x1, transpose_x2, group_size, out)

ACLNN_PLANNED_OP(aclnnQuantMatmulV5, (QUANT_MATMUL_PARAMS)) { PLAN_QUANT_MATMUL(); }
ACLNN_PLANNED_OP(aclnnQuantMatmulWeightNz, (QUANT_MATMUL_PARAMS)) {
  RequireFractal(x2, "x2");
  PLAN_QUANT_MATMUL();
}

#define FUSED_QUANT_MATMUL_PARAMS                                                              \
  const Tensor &x1, const FormattedTensor &x2, const Tensor &x1_scale, const Tensor &x2_scale, \
      const OptTensor &y_scale, const OptTensor &x1_offset, const OptTensor &x2_offset,        \
      const OptTensor &y_offset, const OptTensor &bias, const OptTensor &x3,                   \
      const std::string &fused_op, int64_t group_size, Tensor &out

static Epilogue GeluOf(const std::string& name) {
  if (name == "gelu_erf") return [](const Tensor& values) { return at::gelu(values); };
  Require(name == "gelu_tanh", "fusedOpType must be 'gelu_erf' or 'gelu_tanh', got '", name, "'");
  return [](const Tensor& values) { return at::gelu(values, "tanh"); };
}

// gelu of the product: nn/matmul/fused_quant_mat_mul/docs/aclnnFusedQuantMatmul.md
static Work PlanFusedQuantMatmul(FUSED_QUANT_MATMUL_PARAMS) {
  const auto activation = GeluOf(fused_op);
  Require(!Given(x3) && !Given(x2_offset), "x3 and x2Offset are not supported");
  const auto type = out.scalar_type();
  Require(type == at::kHalf || type == at::kBFloat16, "out must be float16 or bfloat16, got ",
          type);
  Limit(type == at::kBFloat16 || x2_scale.scalar_type() == at::kFloat,
        "a float16 out takes a float32 x2Scale, got ", x2_scale.scalar_type());
  Limit(type == at::kBFloat16 || !bias || bias->scalar_type() != at::kBFloat16,
        "a float16 out takes no bfloat16 bias");
  return PlanQuantMatmul(x1, x2, x1_scale, x2_scale, y_scale, x1_offset, {}, y_offset, bias,
                         /*transpose_x1=*/false, /*transpose_x2=*/false, group_size, out,
                         activation);
}

#define PLAN_FUSED_QUANT_MATMUL()                                                                  \
  return PlanFusedQuantMatmul(x1, x2, x1_scale, x2_scale, y_scale, x1_offset, x2_offset, y_offset, \
                              bias, x3, fused_op, group_size, out)

ACLNN_PLANNED_OP(aclnnFusedQuantMatmul, (FUSED_QUANT_MATMUL_PARAMS)) { PLAN_FUSED_QUANT_MATMUL(); }
ACLNN_PLANNED_OP(aclnnFusedQuantMatmulWeightNz, (FUSED_QUANT_MATMUL_PARAMS)) {
  RequireFractal(x2, "x2");
  PLAN_FUSED_QUANT_MATMUL();
}

// x @ AntiQuantize(weight) + bias, which may be quantized again. `inner_precise` is about speed.
static Work PlanWeightQuantMatmul(const Tensor& x, const Tensor& weight, const Tensor& scale,
                                  const OptTensor& offset, const OptTensor& quant_scale,
                                  const OptTensor& quant_offset, const OptTensor& bias,
                                  int64_t group_size, Tensor out) {
  const auto type = x.scalar_type();
  Require(x.dim() >= 2 && weight.dim() >= 2, "x and weight must have 2 dimensions or more");
  Require(at::isFloatingType(type), "x must be a floating-point tensor, got ", type);
  Require(weight.scalar_type() == at::kChar || IsInt4InInt32(weight),
          "weight must be int8, or int4 in int32, got ", weight.scalar_type());
  Require(at::isFloatingType(scale.scalar_type()), "antiquantScale ", scale.scalar_type(),
          " is not supported");
  Require(!offset || offset->sizes() == scale.sizes(),
          "antiquantOffset must have antiquantScale's shape");
  Require(!quant_offset || quant_scale, "quantOffset is only taken with quantScale");
  Require(quant_scale.has_value() == (out.scalar_type() == at::kChar),
          "out must be int8 with quantScale, and only then");
  // npu_weight_quant_batchmatmul.md
  const auto k = x.size(-1);
  Limit(type == at::kHalf || type == at::kBFloat16, "x must be float16 or bfloat16, got ", type);
  Limit(scale.scalar_type() == type, "antiquantScale must have x's dtype, ", type);
  Limit(x.dim() == 2 && weight.dim() == 2, "x and weight must have 2 dimensions");
  Limit(k <= 65535 && out.size(-1) <= 65535, "K and N must be at most 65535");
  const auto bias_type = type == at::kBFloat16 ? at::kFloat : type;
  Limit(!bias || bias->scalar_type() == bias_type, "bias must be ", bias_type, " with this x");
  Limit(group_size == 0 || (group_size >= 32 && group_size < k && group_size % 32 == 0),
        "antiquantGroupSize must be a multiple of 32 from 32 to K - 1, got ", group_size);
  const auto groups = group_size == 0 ? 1 : (k + group_size - 1) / group_size;
  Require(scale.dim() < 2 || scale.size(-2) == groups, "antiquantScale must have ", groups,
          " rows");
  return [=]() mutable {
    const auto weights = AntiQuantize(Int8Matrix(weight, k), scale, offset, group_size);
    auto values = at::matmul(x.to(at::kFloat), weights);
    if (bias) values += *bias;
    StoreRounded(out,
                 quant_scale ? Dequantize(values, {{}, quant_scale, quant_offset, {}}) : values);
  };
}

ACLNN_PLANNED_OP(aclnnWeightQuantBatchMatmulV2,
                 (const Tensor& x, const Tensor& weight, const Tensor& scale,
                  const OptTensor& offset, const OptTensor& quant_scale,
                  const OptTensor& quant_offset, const OptTensor& bias, int group_size,
                  Tensor& out)) {
  return PlanWeightQuantMatmul(x, weight, scale, offset, quant_scale, quant_offset, bias,
                               group_size, out);
}
ACLNN_PLANNED_OP(aclnnWeightQuantBatchMatmulV3,
                 (const Tensor& x, const Tensor& weight, const Tensor& scale,
                  const OptTensor& offset, const OptTensor& quant_scale,
                  const OptTensor& quant_offset, const OptTensor& bias, int group_size,
                  int64_t /*inner_precise*/, Tensor& out)) {
  return PlanWeightQuantMatmul(x, weight, scale, offset, quant_scale, quant_offset, bias,
                               group_size, out);
}

}  // namespace ascend_sim::opapi
