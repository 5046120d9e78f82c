// SPDX-License-Identifier: Apache-2.0
//
// Quantization right after a norm or a gated activation. Intermediate values are float32 and not
// rounded.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/gate.h"
#include "opapi/numerics/groups.h"
#include "opapi/numerics/quantize.h"
#include "opapi/numerics/rms_norm.h"

namespace ascend_sim::opapi {
namespace {

// --- after a norm --------------------------------------------------------------------------------

Tensor ShiftedRmsNorm(const Tensor& x, const Tensor& gamma, const OptTensor& beta, double epsilon) {
  const auto norm = RmsNorm(x, gamma, epsilon);
  return beta ? norm + *beta : norm;
}

void CheckNorm(const Tensor& x, const Tensor& gamma, const OptTensor& beta) {
  Require(x.dim() >= 1 && gamma.numel() == x.size(-1), "gamma must have ", x.size(-1), " elements");
  Require(!beta || beta->numel() == x.size(-1), "beta must have ", x.size(-1), " elements");
}

void StoreDynamic(Tensor& y, Tensor& scale, const Tensor& values, const OptTensor& smooth) {
  const bool int4 = y.scalar_type() == at::kInt;
  const auto quantized = QuantizeRows(smooth ? values * *smooth : values, int4 ? 7 : 127);
  Store(y, int4 ? PackInt4(quantized.values) : quantized.values);
  Store(scale, quantized.scale);
}

// --- after a gated activation --------------------------------------------------------------------

// Without a list, all rows are one group.
std::vector<Group> GroupsOrAll(const OptTensor& list, int64_t type, int64_t rows) {
  return list ? ReadGroups(*list, type, rows) : std::vector<Group>{{0, 0, rows}};
}

// The part of `parameter` that belongs to a group: [groups, ...], or one for all rows.
OptTensor OfGroup(const OptTensor& parameter, int64_t index, bool grouped) {
  if (!parameter) return {};
  if (grouped) return parameter->select(0, index);
  return parameter->dim() == 2 && parameter->size(0) == 1 ? parameter->select(0, 0) : *parameter;
}

bool IsDynamic(const std::string& quant_mode) {
  Require(quant_mode == "dynamic" || quant_mode == "static",
          "quantMode must be 'dynamic' or 'static', got '", quant_mode, "'");
  return quant_mode == "dynamic";
}

}  // namespace

ACLNN_PLANNED_OP(aclnnRmsNormQuant,
                 (const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& scale,
                  const Tensor& offset, double epsilon, Tensor& y)) {
  CheckNorm(x, gamma, beta);
  Require(scale.numel() == 1 && offset.numel() == 1, "scale and offset must have 1 element");
  Require(y.scalar_type() == at::kChar || y.scalar_type() == at::kInt,
          "y must be int8, or int4 in int32");
  return [=]() mutable {
    const auto norm = ShiftedRmsNorm(x, gamma.flatten(), beta.flatten(), epsilon);
    StoreIntegers(y, norm * scale.flatten() + offset.flatten(), y.scalar_type() == at::kInt);
  };
}

// x = x1 + x2, rounded to its dtype, then the norm, quantized once or twice with given scales.
ACLNN_PLANNED_OP(aclnnAddRmsNormQuantV2,
                 (const Tensor& x1, const Tensor& x2, const Tensor& gamma, const Tensor& scales1,
                  const OptTensor& scales2, const OptTensor& zero_points1,
                  const OptTensor& zero_points2, const OptTensor& beta, int64_t axis,
                  double epsilon, bool div_mode, Tensor& y1, Tensor& y2, Tensor& x,
                  const OptTensor& norm_out)) {
  CheckNorm(x1, gamma, beta);
  Require(!norm_out, "rmsNormOut must be absent");
  Require(axis == -1, "axis must be -1, got ", axis);
  Require(y1.scalar_type() == at::kChar, "y1 and y2 must be int8");
  for (const auto& scale : {OptTensor(scales1), scales2, zero_points1, zero_points2}) {
    Require(!scale || scale->sizes() == gamma.sizes(),
            "scales and zero points must have gamma's shape");
  }
  Require(scales2 || !zero_points2, "zeroPoints2 is only taken with scales2");
  const auto scale_type = x1.scalar_type() == at::kHalf ? at::kFloat : at::kBFloat16;
  Limit(scales1.scalar_type() == scale_type && (!scales2 || scales2->scalar_type() == scale_type),
        "scales must be ", scale_type, " with this x");
  return [=]() mutable {
    at::add_out(x, x1, x2);
    const auto norm = ShiftedRmsNorm(x, gamma, beta, epsilon);
    const auto quantize = [&](Tensor& y, const Tensor& scale, const OptTensor& zero_point) {
      auto values = div_mode ? norm / scale : norm * scale;
      if (zero_point) values += *zero_point;
      StoreIntegers(y, values, /*int4=*/false);
    };
    quantize(y1, scales1, zero_points1);
    if (scales2) quantize(y2, *scales2, zero_points2);
  };
}

// Likewise with a scale per row, of the norm times the smoothing scale of its columns.
ACLNN_PLANNED_OP(aclnnAddRmsNormDynamicQuantV2,
                 (const Tensor& x1, const Tensor& x2, const Tensor& gamma,
                  const OptTensor& smooth_scale1, const OptTensor& smooth_scale2,
                  const OptTensor& beta, double epsilon, const OptBools& output_mask, Tensor& y1,
                  Tensor& y2, Tensor& x, Tensor& scale1, Tensor& scale2)) {
  CheckNorm(x1, gamma, beta);
  for (const auto& smooth : {smooth_scale1, smooth_scale2}) {
    Require(!smooth || smooth->numel() == x1.size(-1), "smoothScale must have ", x1.size(-1),
            " elements");
  }
  Require(!output_mask || output_mask->size() == 2, "outputMask must have 2 elements");
  const bool first = output_mask ? output_mask->front() : true;
  const bool second = output_mask ? output_mask->back() : smooth_scale1 && smooth_scale2;
  Require(first || second, "outputMask must not be false twice");
  Require((first || !smooth_scale1) && (second || !smooth_scale2 || !output_mask),
          "a smoothScale is given for an output that outputMask leaves out");
  return [=]() mutable {
    at::add_out(x, x1, x2);
    const auto norm = ShiftedRmsNorm(x, gamma, beta, epsilon);
    if (first) StoreDynamic(y1, scale1, norm, smooth_scale1);
    if (second) StoreDynamic(y2, scale2, norm, smooth_scale2);
  };
}

// silu(a) * b, times the smoothing scale of its group. Dynamic quantization returns the scale that
// values were multiplied by, 127 / max (unlike aclnnDynamicQuant).
ACLNN_PLANNED_OP(aclnnSwiGluQuantV2,
                 (const Tensor& x, const OptTensor& smooth_scales, const OptTensor& offsets,
                  const OptTensor& group_index, bool activate_left, const std::string& quant_mode,
                  int64_t group_list_type, int dst_type, Tensor& y, Tensor& scale)) {
  constexpr int kInt8 = 2;
  const bool dynamic = IsDynamic(quant_mode);
  Require(dst_type == kInt8, "dstType must be int8");
  Require(x.dim() >= 2 && x.size(-1) % 2 == 0,
          "x must have 2 dimensions or more, the last of them even");
  Require(group_list_type == kCumulative || group_list_type == kCounts,
          "groupListType must be 0 or 1");
  Require(dynamic || (smooth_scales && offsets),
          "smoothScales and offsets must be given with static quantization");
  Require(!group_index || !smooth_scales || smooth_scales->size(0) == group_index->size(0),
          "smoothScales must have one row per group");
  Limit(x.size(-1) <= 8192, "x's last dimension must be at most 8192");  // npu_swiglu_quant.md
  return [=]() mutable {
    const auto rows = x.flatten(0, -2);
    auto all = y.flatten(0, -2), scales = scale.flatten();
    for (const auto& group : GroupsOrAll(group_index, group_list_type, rows.size(0))) {
      const auto part = [&](const Tensor& t) { return t.slice(0, group.begin, group.end); };
      const auto of_group = [&](const OptTensor& t) {
        return OfGroup(t, group.index, group_index.has_value());
      };
      auto values = Apply({activate_left}, part(rows).to(at::kFloat));
      if (smooth_scales) values *= *of_group(smooth_scales);
      if (dynamic) {
        const auto quantized = QuantizeRows(values);
        part(all).copy_(quantized.values);
        part(scales).copy_(quantized.scale.reciprocal());
      } else {
        part(all).copy_(RoundTo(values + *of_group(offsets), at::kChar));
      }
    }
  };
}

// The sums of a product of int8 matrices, scaled, gated and quantized again.
static Work PlanDequantSwigluQuant(const Tensor& x, const OptTensor& weight_scale,
                                   const OptTensor& activation_scale, const OptTensor& bias,
                                   const OptTensor& quant_scale, const OptTensor& quant_offset,
                                   const OptTensor& group_index, const std::string& quant_mode,
                                   const Gate& gate, Tensor& y, Tensor& scale) {
  const bool dynamic = IsDynamic(quant_mode), integers = x.scalar_type() == at::kInt;
  Require(y.scalar_type() == at::kChar, "y must be int8, got ", y.scalar_type());
  Require(x.dim() >= 2 && x.size(-1) % 2 == 0,
          "x must have 2 dimensions or more, the last of them even");
  Require(integers || at::isFloatingType(x.scalar_type()),
          "x must be int32 or a floating-point tensor");
  // npu_dequant_swiglu_quant.md
  Limit(integers || (!activation_scale && !bias),
        "activationScale and bias are only taken with an int32 x");
  Limit(!integers || activation_scale, "activationScale must be given with an int32 x");
  if (group_index) {
    Require(group_index->scalar_type() == at::kLong, "groupIndex must be int64");
    Limit(!bias && !quant_offset, "bias and quantOffset are not taken with groupIndex");
    const auto columns = x.size(-1) / 2;
    Limit(columns <= 10496 && columns % 64 == 0, "H must be a multiple of 64, at most 10496, got ",
          columns);
  }
  return [=]() mutable {
    const auto rows = x.flatten(0, -2);
    auto all = y.flatten(0, -2), scales = scale.flatten();
    for (const auto& group : GroupsOrAll(group_index, kCounts, rows.size(0))) {
      const auto part = [&](const Tensor& t) { return t.slice(0, group.begin, group.end); };
      const auto of_group = [&](const OptTensor& t) {
        return OfGroup(t, group.index, group_index.has_value());
      };
      auto sums = part(rows);
      if (bias && bias->scalar_type() == at::kInt) sums = sums + *of_group(bias);
      auto values = sums.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
      if (weight_scale) values *= *of_group(weight_scale);
      if (activation_scale) values *= part(activation_scale->reshape({-1, 1}));
      if (bias && bias->scalar_type() != at::kInt) values += *of_group(bias);
      auto gated = Apply(gate, values);
      if (dynamic) {
        if (quant_scale) gated *= *of_group(quant_scale);
        const auto quantized = QuantizeRows(gated);
        part(all).copy_(quantized.values);
        part(scales).copy_(quantized.scale);
      } else {
        if (quant_scale) gated /= *of_group(quant_scale);
        if (quant_offset) gated += *of_group(quant_offset);
        part(all).copy_(RoundTo(gated, at::kChar));
      }
    }
  };
}
ACLNN_PLANNED_OP(aclnnDequantSwigluQuant,
                 (const Tensor& x, const OptTensor& weight_scale, const OptTensor& activation_scale,
                  const OptTensor& bias, const OptTensor& quant_scale,
                  const OptTensor& quant_offset, const OptTensor& group_index, bool activate_left,
                  const std::string& quant_mode, Tensor& y, Tensor& scale)) {
  return PlanDequantSwigluQuant(x, weight_scale, activation_scale, bias, quant_scale, quant_offset,
                                group_index, quant_mode, {activate_left}, y, scale);
}
ACLNN_PLANNED_OP(aclnnDequantSwigluQuantV2,
                 (const Tensor& x, const OptTensor& weight_scale, const OptTensor& activation_scale,
                  const OptTensor& bias, const OptTensor& quant_scale,
                  const OptTensor& quant_offset, const OptTensor& group_index, bool activate_left,
                  const std::string& quant_mode, DType /*dst_type: y's own*/,
                  const std::string& round_mode, int64_t activate_dim, int64_t swiglu_mode,
                  double clamp_limit, double glu_alpha, double glu_bias, Tensor& y,
                  Tensor& scale)) {
  Require(round_mode == "rint", "roundMode '", round_mode, "' is not supported: 'rint' is");
  Require(activate_dim == -1 || activate_dim == x.dim() - 1,
          "activateDim must be the last dimension");
  Require(swiglu_mode >= 0 && swiglu_mode <= 2, "swigluMode must be 0, 1 or 2, got ", swiglu_mode);
  const Gate gate{activate_left, swiglu_mode, clamp_limit, glu_alpha, glu_bias};
  return PlanDequantSwigluQuant(x, weight_scale, activation_scale, bias, quant_scale, quant_offset,
                                group_index, quant_mode, gate, y, scale);
}

}  // namespace ascend_sim::opapi
