// SPDX-License-Identifier: Apache-2.0
//
// Quantization and dequantization. Computed in float32 and rounded once, half to even.
#include "opapi/numerics/quantize.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/groups.h"
#include "opapi/products/quant_matmul.h"

namespace ascend_sim::opapi {
namespace {

// --- dynamic -------------------------------------------------------------------------------------

struct DynamicQuant {
  Tensor x;
  OptTensor smooth_scales, group_index;
  bool symmetric = true;
  Tensor y, scale;
  OptTensor offset;
};

void CheckDynamicQuant(const DynamicQuant& q) {
  const auto columns = q.x.size(-1), packed = q.y.scalar_type() == at::kInt ? kInt4PerInt32 : 1;
  Require(q.x.dim() >= 2, "x must have 2 dimensions or more");
  Require(q.y.scalar_type() == at::kChar || q.y.scalar_type() == at::kInt,
          "y must be int8, or int4 in int32, got ", q.y.scalar_type());
  Require(q.y.size(-1) * packed == columns, "y's last dimension does not fit x's");
  if (q.smooth_scales) {
    Require(q.smooth_scales->size(-1) == columns, "smoothScales must have ", columns, " columns");
    Require(q.smooth_scales->dim() == (q.group_index ? 2 : 1),
            "smoothScales must have 1 dimension, with groupIndex two");
  }
  if (q.group_index) {
    Require(q.smooth_scales.has_value(), "groupIndex is only taken with smoothScales");
    Require(q.group_index->scalar_type() == at::kInt, "groupIndex must be int32");
    Require(q.group_index->dim() == 1 && q.group_index->size(0) == q.smooth_scales->size(0),
            "groupIndex must have one element for each row of smoothScales");
    // npu_dynamic_quant.md, npu_dynamic_quant_asymmetric.md
    Limit(q.group_index->size(0) <= 1024, "groupIndex must have at most 1024 elements, got ",
          q.group_index->size(0));
  }
}

// x times the smoothing scales of its rows, in float32.
Tensor Smooth(const DynamicQuant& q) {
  auto rows = q.x.to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  if (!q.smooth_scales) return rows;
  if (!q.group_index) return rows.mul_(*q.smooth_scales);
  auto flat = rows.view({-1, rows.size(-1)});
  for (const auto& group : ReadGroups(*q.group_index, kCumulative, flat.size(0))) {
    flat.slice(0, group.begin, group.end).mul_(q.smooth_scales->select(0, group.index));
  }
  return rows;
}

// Quantizes the rows of `values`; `unfold` brings the integers into the shape of x.
template <class Unfold>
void StoreQuantized(DynamicQuant& q, const Tensor& values, Unfold unfold) {
  const bool int4 = q.y.scalar_type() == at::kInt;
  const int64_t largest = int4 ? 7 : 127;
  const auto store = [&](const Tensor& integers) {
    Store(q.y, int4 ? PackInt4(unfold(integers)) : unfold(integers));
  };
  if (q.symmetric) {
    const auto result = QuantizeRows(values, largest);
    store(result.values);
    Store(q.scale, result.scale);
  } else {
    const auto result = QuantizeRowsAsymmetric(values, -largest - 1, largest);
    store(result.values);
    Store(q.scale, result.scale);
    Store(*q.offset, result.offset);
  }
}

Work PlanDynamicQuant(DynamicQuant q, const std::string& mode = "pertoken") {
  CheckDynamicQuant(q);
  Require(q.symmetric != q.offset.has_value(), "offset belongs to asymmetric quantization");
  Require(mode == "pertoken" || mode == "pertensor" || mode == "perchannel", "quantMode '", mode,
          "' is not supported");
  return [q = std::move(q), mode]() mutable {
    const auto rows = Smooth(q);
    if (mode == "pertensor") {
      StoreQuantized(q, rows.flatten(), [&](const Tensor& t) { return t.view(rows.sizes()); });
    } else if (mode == "perchannel") {
      StoreQuantized(q, rows.transpose(-1, -2),
                     [](const Tensor& t) { return t.transpose(-1, -2); });
    } else {
      StoreQuantized(q, rows, [](const Tensor& t) { return t; });
    }
  };
}

// --- with given scales ---------------------------------------------------------------------------

// A scale of one dimension lies along `axis` of `like`.
Tensor AlongAxis(const Tensor& scale, const Tensor& like, int64_t axis) {
  if (scale.dim() != 1 || scale.size(0) == 1) return scale;
  Ints shape(like.dim(), 1);
  shape[axis] = scale.size(0);
  return scale.view(shape);
}

void CheckScale(const OptTensor& scale, const Tensor& x, int64_t axis, const char* name) {
  if (!scale || scale->dim() != 1) return;
  Require(scale->size(0) == 1 || scale->size(0) == x.size(axis), name, " must have 1 or ",
          x.size(axis), " elements, got ", scale->size(0));
}

}  // namespace

ACLNN_PLANNED_OP(aclnnDynamicQuantV2,
                 (const Tensor& x, const OptTensor& smooth_scales, const OptTensor& group_index,
                  DType /*dst_type: y's own*/, Tensor& y, Tensor& scale, OptTensor& offset)) {
  return PlanDynamicQuant({x, smooth_scales, group_index, !offset, y, scale, offset});
}
ACLNN_PLANNED_OP(aclnnDynamicQuantV3,
                 (const Tensor& x, const OptTensor& smooth_scales, const OptTensor& group_index,
                  DType /*dst_type: y's own*/, bool symmetric, const std::string& quant_mode,
                  Tensor& y, Tensor& scale, OptTensor& offset)) {
  return PlanDynamicQuant({x, smooth_scales, group_index, symmetric, y, scale, offset}, quant_mode);
}

// y = round(x * scale + offset), of npu_quantize with div_mode=False.
ACLNN_PLANNED_OP(aclnnAscendQuantV3, (const Tensor& x, const Tensor& scale, const OptTensor& offset,
                                      bool sqrt_mode, const std::string& round_mode,
                                      DType /*dst_type: y's own*/, int64_t axis, Tensor& y)) {
  Require(round_mode == "round", "roundMode '", round_mode, "' is not supported: 'round' is");
  Require(axis == -1 || axis == -2, "axis must be -1 or -2, got ", axis);
  Require(x.dim() >= -axis, "axis ", axis, " is beyond x's dimensions");
  const bool int4 = y.scalar_type() == at::kInt;
  Require(int4 || y.scalar_type() == at::kChar, "y must be int8, or int4 in int32");
  CheckScale(scale, x, x.dim() + axis, "scale");
  CheckScale(offset, x, x.dim() + axis, "offset");
  Limit(scale.scalar_type() == x.scalar_type() &&
            (!offset || offset->scalar_type() == x.scalar_type()),
        "scale and offset must have x's dtype, ", x.scalar_type());  // npu_quantize.md
  return [=]() mutable {
    const auto along = [&](const Tensor& t) {
      return AlongAxis(t, x, x.dim() + axis).to(at::kFloat);
    };
    const auto factor = sqrt_mode ? along(scale).square() : along(scale);
    auto values = x.to(at::kFloat) * factor;
    if (offset) values += along(*offset);
    StoreIntegers(y, values, int4);
  };
}

// p1 @ x @ p2, then int4 by tokens, of npu_kronecker_quant (aclnnFlatQuant.md).
ACLNN_PLANNED_OP(aclnnFlatQuant, (const Tensor& x, const Tensor& p1, const Tensor& p2,
                                  double clip_ratio, Tensor& out, Tensor& scale)) {
  Require(x.dim() == 3, "x must have 3 dimensions");
  const auto rows = x.size(1), columns = x.size(2);
  Require(p1.sizes() == at::IntArrayRef({rows, rows}), "kroneckerP1 must have shape [", rows, ", ",
          rows, "], got ", p1.sizes());
  Require(p2.sizes() == at::IntArrayRef({columns, columns}), "kroneckerP2 must have shape [",
          columns, ", ", columns, "], got ", p2.sizes());
  Require(p1.scalar_type() == x.scalar_type() && p2.scalar_type() == x.scalar_type(),
          "kroneckerP1 and kroneckerP2 must have x's dtype, ", x.scalar_type());
  Require(clip_ratio > 0 && clip_ratio <= 1, "clipRatio must be in (0, 1], got ", clip_ratio);
  Require(out.scalar_type() == at::kInt && columns % kInt4PerInt32 == 0,
          "out must be int4 in int32, and x have a multiple of 8 columns");
  Require(x.numel() > 0, "x must not be empty");
  Limit(x.size(0) <= 262144 && rows <= 256 && columns <= 256,
        "x must be at most [262144, 256, 256], got ", x.sizes());
  return [=]() mutable {
    const auto turned =
        at::matmul(p1.to(at::kFloat), at::matmul(x.to(at::kFloat), p2.to(at::kFloat)));
    const auto factors = turned.abs().amax({1, 2}, /*keepdim=*/true) / (7 / clip_ratio);
    StoreIntegers(out, at::where(factors == 0, 0, turned / factors), /*int4=*/true);
    Store(scale, factors.flatten());
  };
}

// y = round(x / scale + zero_point), of npu_quantize with div_mode=True.
ACLNN_PLANNED_OP(aclnnQuantize,
                 (const Tensor& x, const Tensor& scales, const OptTensor& zero_points,
                  DType /*dtype: out's own*/, int64_t axis, Tensor& out)) {
  const auto type = out.scalar_type();
  Require(type == at::kChar || type == at::kByte || type == at::kInt,
          "out must be int8, uint8 or int32, got ", type);
  Require(axis >= -x.dim() && axis < x.dim(), "axis ", axis, " is beyond x's dimensions");
  const auto place = axis < 0 ? axis + x.dim() : axis;
  CheckScale(scales, x, place, "scales");
  CheckScale(zero_points, x, place, "zeroPoints");
  return [=]() mutable {
    auto values = x.to(at::kFloat) / AlongAxis(scales, x, place);
    if (zero_points) values += AlongAxis(*zero_points, x, place);
    StoreIntegers(out, values, /*int4=*/false);
  };
}

// (x + offset) * scale
ACLNN_PLANNED_OP(aclnnAscendAntiQuant,
                 (const Tensor& x, const Tensor& scale, const OptTensor& offset,
                  DType /*dst_type: out's own*/, bool sqrt_mode, Tensor& out)) {
  const bool int4 = x.scalar_type() == at::kInt;
  Require(int4 || x.scalar_type() == at::kChar, "x must be int8, or int4 in int32, got ",
          x.scalar_type());
  CheckScale(scale, out, out.dim() - 1, "scale");
  // npu_anti_quant.md
  Limit(!offset || offset->sizes() == scale.sizes(), "offset must have scale's shape");
  return [=]() mutable {
    auto values = (int4 ? UnpackInt4(x) : x).to(at::kFloat);
    if (offset) values += *offset;
    Store(out, values * (sqrt_mode ? scale.to(at::kFloat).square() : scale));
  };
}

// The sums of a product of int8 matrices, scaled.
ACLNN_PLANNED_OP(aclnnDequantBias,
                 (const Tensor& x, const Tensor& weight_scale, const OptTensor& activation_scale,
                  const OptTensor& bias, int64_t /*output_dtype: out's own*/, Tensor& out)) {
  Require(x.dim() == 2 && x.scalar_type() == at::kInt, "x must be an int32 matrix");
  Require(weight_scale.dim() == 1 && weight_scale.size(0) == x.size(1),
          "weightScale must have one element per column of x");
  Require(!activation_scale || activation_scale->numel() == x.size(0),
          "activationScale must have one element per row of x");
  return [=]() mutable {
    const auto rows = activation_scale ? OptTensor(activation_scale->flatten()) : OptTensor();
    Store(out, Dequantize(x, {bias, weight_scale, {}, rows}));
  };
}

// Writes round(updates / scale + zero_point) into the places of `self` that `indices` name: of the
// first dimension (or of the first and `axis`), from there on as far as the updates go.
ACLNN_PLANNED_OP(aclnnInplaceQuantScatter,
                 (Tensor & self, const Tensor& indices, const Tensor& updates,
                  const Tensor& quant_scales, const OptTensor& quant_zero_points, int64_t axis,
                  int64_t quant_axis, int64_t reduction)) {
  const auto dims = updates.dim();
  const auto place = axis < 0 ? axis + dims : axis;
  Require(self.scalar_type() == at::kChar, "self must be int8");
  Require(reduction == 1, "reduction must be 1 (update)");
  Require(self.dim() == dims && dims >= 3 && dims <= 8,
          "self and updates must have 3 to 8 dimensions");
  Require(quant_axis == -1 || quant_axis == dims - 1, "quantAxis must be the last dimension");
  Require(place > 0 && place < dims - 1, "axis must be neither the first nor the last dimension");
  Require(indices.scalar_type() == at::kInt, "indices must be int32");
  Require(indices.dim() == 1 || (indices.dim() == 2 && indices.size(1) == 2),
          "indices must be [n] or [n, 2]");
  Require(indices.size(0) == updates.size(0) && updates.size(0) <= self.size(0),
          "indices and updates must have as many rows, and no more than self");
  Require(quant_scales.numel() == updates.size(-1), "quantScales must have ", updates.size(-1),
          " elements");
  // npu_quant_scatter.md; 32 bytes of the int8 that are written
  Limit(updates.size(-1) % 32 == 0, "updates' last dimension must be aligned to 32 bytes");
  return [=]() mutable {
    auto values = updates.to(at::kFloat) / quant_scales.reshape(-1);
    if (quant_zero_points) values += quant_zero_points->reshape(-1);
    const auto integers = RoundTo(values, at::kChar);
    const auto numbers = indices.to(at::kLong).contiguous();
    const auto* number = numbers.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < updates.size(0); ++i) {
      const auto row = indices.dim() == 2 ? number[2 * i] : i;
      const auto begin = indices.dim() == 2 ? number[2 * i + 1] : number[i];
      self.select(0, row).narrow(place - 1, begin, updates.size(place)).copy_(integers[i]);
    }
  };
}

// y = round(x * scale of its group + offset), rows grouped by where groups end.
ACLNN_PLANNED_OP(aclnnGroupQuant,
                 (const Tensor& x, const Tensor& scale, const Tensor& group_index,
                  const OptTensor& offset, DType /*dst_type: y's own*/, Tensor& y)) {
  Require(x.dim() == 2 && scale.dim() == 2 && scale.size(1) == x.size(1),
          "x must be [rows, H] and scale [groups, H]");
  Require(group_index.dim() == 1 && group_index.size(0) == scale.size(0),
          "groupIndex must have one element for each row of scale");
  Require(y.scalar_type() == at::kChar, "y must be int8, got ", y.scalar_type());
  return [=]() mutable {
    for (const auto& group : ReadGroups(group_index, kCumulative, x.size(0))) {
      auto values =
          x.slice(0, group.begin, group.end).to(at::kFloat) * scale.select(0, group.index);
      if (offset) values += offset->reshape(-1);
      Tensor rows = y.slice(0, group.begin, group.end);
      StoreIntegers(rows, values, /*int4=*/false);
    }
  };
}

}  // namespace ascend_sim::opapi
