// SPDX-License-Identifier: Apache-2.0
//
// Grouped products of quantized matrices with what comes next in a layer of experts: the gated
// activation and its quantization, or the way back to the tokens.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/groups.h"
#include "opapi/numerics/parts.h"
#include "opapi/numerics/quantize.h"
#include "opapi/products/quant_matmul.h"

namespace ascend_sim::opapi {
namespace {

bool IsAbsent(const OptTensors& tensors) { return !tensors || tensors->empty(); }

void CheckGroups(const Tensor& group_list, int64_t type, const FormattedTensor& weight) {
  Require(weight.dim() == 3, "weight must be [experts, k, n]");
  Require(group_list.dim() == 1 && group_list.scalar_type() == at::kLong,
          "groupList must be int64 with 1 dimension");
  Require(type == kCumulative || type == kCounts, "groupListType must be 0 or 1, got ", type);
  Require(group_list.size(0) <= weight.size(0), "groupList has more groups than weight matrices");
}

// --- silu(first half) * second half, quantized ---------------------------------------------------

struct SwigluQuant {
  Tensor x;
  FormattedTensor weight;
  Tensor weight_scale, x_scale;
  OptTensor smooth_scale;
  Tensor group_list;
  int64_t group_list_type;
  Tensor out, out_scale;
};

Work PlanSwigluQuant(const SwigluQuant& a) {
  const bool int4 = a.x.scalar_type() == at::kInt && a.weight.scalar_type() == at::kInt;
  Require(int4 || (a.x.scalar_type() == at::kChar && a.weight.scalar_type() == at::kChar),
          "x and weight must both be int8, or int4 in int32, got ", a.x.scalar_type(), " and ",
          a.weight.scalar_type());
  CheckGroups(a.group_list, a.group_list_type, a.weight);
  const auto m = a.x.size(0), n = a.weight_scale.size(-1), experts = a.weight.size(0);
  Require(a.x.dim() == 2, "x must be a matrix");
  Require(a.weight_scale.dim() == 2 && a.weight_scale.size(0) == experts,
          "weightScale must be [experts, n]");
  Require(a.x_scale.dim() == 1 && a.x_scale.size(0) == m,
          "xScale must have one element per row of x");
  Require(n % 2 == 0 && a.out.size(-1) == n / 2 && a.out.scalar_type() == at::kChar,
          "output must be int8 of half of n columns");
  // npu_grouped_matmul_swiglu_quant_v2.md
  Limit(int4 || a.weight.fractal(), "an int8 weight must be in format FRACTAL_NZ");
  Limit(a.group_list.size(0) <= 1024, "groupList must have at most 1024 groups");
  Limit(n <= 10240, "n must be at most 10240, got ", n);
  Limit(a.x.size(1) < (int4 ? 20000 : 65536), "x has too many columns: ", a.x.size(1));
  Limit(int4 || !a.smooth_scale, "smoothScale is only taken with int4");
  return [a, int4] {
    const auto weights = a.weight.Read();
    Tensor out = a.out, out_scale = a.out_scale;
    for (const auto& group : ReadGroups(a.group_list, a.group_list_type, a.x.size(0))) {
      const auto rows = [&](const Tensor& t) { return t.slice(0, group.begin, group.end); };
      const auto x = int4 ? UnpackInt4(rows(a.x)) : rows(a.x);
      const auto sums = IntMatmul(x, Int8Matrix(weights.select(0, group.index), x.size(1)));
      const auto halves = Halves(
          Dequantize(sums, {{}, a.weight_scale.select(0, group.index), {}, rows(a.x_scale)}), -1);
      auto values = at::silu(halves[0]).mul_(halves[1]);
      if (a.smooth_scale) values *= a.smooth_scale->select(0, group.index);
      const auto quantized = QuantizeRows(values);
      rows(out).copy_(quantized.values);
      rows(out_scale).copy_(quantized.scale);
    }
  };
}

// --- back to the tokens --------------------------------------------------------------------------

struct FinalizeRouting {
  Tensor x;
  FormattedTensor weight;
  Tensor scale, per_token_scale, group_list;
  OptTensor shared_input;
  Tensor logit, row_index;
  double shared_weight;
  int64_t shared_offset, group_list_type;
  Tensor out;
};

Work PlanFinalizeRouting(const FinalizeRouting& a) {
  Require(a.x.scalar_type() == at::kChar && a.weight.scalar_type() == at::kChar,
          "x and w must be int8, got ", a.x.scalar_type(), " and ", a.weight.scalar_type());
  CheckGroups(a.group_list, a.group_list_type, a.weight);
  const auto m = a.x.size(0), k = a.x.size(1), n = a.out.size(1);
  const auto experts = a.weight.size(0);
  Require(a.scale.dim() == 2 && a.scale.size(0) == experts && a.scale.size(1) == n,
          "scale must be [experts, n]");
  for (const auto& [tensor, name] : {std::pair(a.per_token_scale, "pertokenScale"),
                                     {a.logit, "logit"},
                                     {a.row_index, "rowIndex"}}) {
    Require(tensor.dim() == 1 && tensor.size(0) == m, name, " must have one element per row of x");
  }
  Require(!a.shared_input || (a.shared_input->size(1) == n && a.shared_offset >= 0 &&
                              a.shared_offset + a.shared_input->size(0) <= a.out.size(0)),
          "sharedInput does not fit the output");
  // npu_grouped_matmul_finalize_routing.md
  Limit(a.weight.fractal(), "an int8 w must be in format FRACTAL_NZ");
  Limit(experts <= 256, "w must have at most 256 experts, got ", experts);
  Limit(m <= 16 * 1024 * 8, "x must have at most 131072 rows, got ", m);
  Limit(k % 16 == 0, "k must be a multiple of 16, got ", k);
  Limit(n % 32 == 0 && n >= 256, "n must be a multiple of 32 and at least 256, got ", n);
  Limit(a.row_index.scalar_type() == at::kLong, "rowIndex must be int64");
  Limit(!a.shared_input || a.shared_input->scalar_type() == at::kBFloat16,
        "sharedInput must be bfloat16");
  return [a] {
    const auto weights = a.weight.Read();
    Tensor out = a.out;
    out.zero_();
    if (a.shared_input) {
      out.narrow(0, a.shared_offset, a.shared_input->size(0))
          .add_(*a.shared_input, a.shared_weight);
    }
    for (const auto& group : ReadGroups(a.group_list, a.group_list_type, a.x.size(0))) {
      if (group.size() == 0) continue;
      const auto rows = [&](const Tensor& t) { return t.slice(0, group.begin, group.end); };
      const auto sums = IntMatmul(rows(a.x), weights.select(0, group.index));
      const auto values =
          Dequantize(sums, {{}, a.scale.select(0, group.index), {}, rows(a.per_token_scale)});
      out.index_add_(0, rows(a.row_index), values * rows(a.logit).unsqueeze(1));
    }
  };
}

}  // namespace

ACLNN_PLANNED_OP(aclnnGroupedMatmulSwigluQuantWeightNZ,
                 (const Tensor& x, const FormattedTensor& weight, const OptTensor& bias,
                  const OptTensor& offset, const Tensor& weight_scale, const Tensor& x_scale,
                  const Tensor& group_list, Tensor& out, Tensor& out_scale,
                  Tensor& /*out_offset: reserved*/)) {
  Require(!bias && !offset, "bias and offset must be absent");
  return PlanSwigluQuant(
      {x, weight, weight_scale, x_scale, {}, group_list, kCumulative, out, out_scale});
}

#define SWIGLU_QUANT_PARAMS                                                       \
  (const Tensor& x, const FormattedTensors& weight, const Tensors& weight_scale,  \
   const OptTensors& weight_assist, const OptTensor& bias, const Tensor& x_scale, \
   const OptTensor& smooth_scale, const Tensor& group_list, int64_t dequant_mode, \
   int64_t dequant_dtype, int64_t quant_mode, int64_t group_list_type,            \
   const OptInts& /*tuning_config: speed only*/, Tensor& out, Tensor& out_scale)

#define PLAN_SWIGLU_QUANT()                                                                 \
  Require(weight.size() == 1 && weight_scale.size() == 1,                                   \
          "weight and weightScale must be lists of one tensor");                            \
  Require(IsAbsent(weight_assist) && !bias, "weightAssistMatrix and bias must be absent");  \
  Require(dequant_mode == 0 && dequant_dtype == 0 && quant_mode == 0,                       \
          "dequantMode, dequantDtype and quantMode must be 0");                             \
  return PlanSwigluQuant({x, weight[0], weight_scale[0], x_scale, smooth_scale, group_list, \
                          group_list_type, out, out_scale})

ACLNN_PLANNED_OP(aclnnGroupedMatmulSwigluQuantV2, SWIGLU_QUANT_PARAMS) { PLAN_SWIGLU_QUANT(); }
ACLNN_PLANNED_OP(aclnnGroupedMatmulSwigluQuantWeightNzV2, SWIGLU_QUANT_PARAMS) {
  PLAN_SWIGLU_QUANT();
}

#define FINALIZE_ROUTING_PARAMS                                                                  \
  (const Tensor& x, const FormattedTensor& weight, const Tensor& scale, const OptTensor& bias,   \
   const OptTensor& offset, const OptTensor& antiquant_scale, const OptTensor& antiquant_offset, \
   const Tensor& per_token_scale, const Tensor& group_list, const OptTensor& shared_input,       \
   const Tensor& logit, const Tensor& row_index, int64_t /*dtype: out's own*/,                   \
   float shared_weight, int64_t shared_offset, bool transpose_x, bool transpose_w,               \
   int64_t group_list_type, const OptInts& /*tuning_config: speed only*/, Tensor& out)

#define PLAN_FINALIZE_ROUTING()                                                                   \
  Require(!bias && !offset && !antiquant_scale && !antiquant_offset,                              \
          "bias, offset, antiquantScale and antiquantOffset must be absent");                     \
  Require(!transpose_x && !transpose_w, "transposeX and transposeW must be false");               \
  return PlanFinalizeRouting({x, weight, scale, per_token_scale, group_list, shared_input, logit, \
                              row_index, shared_weight, shared_offset, group_list_type, out})

ACLNN_PLANNED_OP(aclnnGroupedMatmulFinalizeRoutingV3, FINALIZE_ROUTING_PARAMS) {
  PLAN_FINALIZE_ROUTING();
}
ACLNN_PLANNED_OP(aclnnGroupedMatmulFinalizeRoutingWeightNzV2, FINALIZE_ROUTING_PARAMS) {
  PLAN_FINALIZE_ROUTING();
}

}  // namespace ascend_sim::opapi
