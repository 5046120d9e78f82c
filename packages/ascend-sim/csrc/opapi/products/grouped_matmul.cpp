// SPDX-License-Identifier: Apache-2.0
//
// Products of groups of rows with a matrix each: of the tokens of an expert with its weights.
// Formulas, combinations of lists and limits are those of npu_grouped_matmul.md.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/groups.h"
#include "opapi/numerics/quantize.h"
#include "opapi/products/quant_matmul.h"

namespace ascend_sim::opapi {
namespace {

constexpr int64_t kNoSplit = -1, kSplitRows = 0, kSplitK = 2;  // groupType

enum Activation : int64_t { kNone = 0, kRelu = 1, kGeluTanh = 2, kFastGelu = 4, kSilu = 5 };

struct GroupedCall {
  Tensors x;
  FormattedTensors weight;
  Tensors bias, scale, offset, antiquant_scale, antiquant_offset, per_token_scale;  // or empty
  Tensors out;
  int64_t group_type = kNoSplit;
  int64_t activation = kNone;
};

Tensors OrNone(const OptTensors& tensors) { return tensors.value_or(Tensors()); }

// The part of `parts` that belongs to group `index`: an element, or a row of the only one.
OptTensor PartOf(const Tensors& parts, int64_t index, bool stacked) {
  if (parts.empty()) return {};
  return stacked ? parts[0].select(0, index) : parts[index];
}

Tensor Activate(const Tensor& values, int64_t activation) {
  switch (activation) {
    case kRelu:
      return values.relu();
    case kGeluTanh:
      return at::gelu(values, "tanh");
    case kFastGelu:
      return values * at::sigmoid(values * 1.702);
    case kSilu:
      return at::silu(values);
    default:
      return values;
  }
}

bool IsStacked(const FormattedTensors& weight) {
  return weight.size() == 1 && weight[0].dim() == 3;
}

// Out of their blocks, where they are in FRACTAL_NZ: once for all groups.
Tensors ReadAll(const FormattedTensors& weights) {
  Tensors plain;
  plain.reserve(weights.size());
  for (const auto& weight : weights) plain.push_back(weight.Read());
  return plain;
}

// One group: its rows of x with its matrix, into its rows of out.
void Multiply(const GroupedCall& call, const Tensors& weights, int64_t index, const Tensor& x,
              const OptTensor& row_scale, Tensor out) {
  const bool stacked = IsStacked(call.weight);
  auto weight = *PartOf(weights, index, stacked);
  const auto bias = PartOf(call.bias, index, stacked);
  if (x.scalar_type() == at::kChar) {
    const auto product = IntMatmul(x, weight);
    if (out.scalar_type() == at::kInt) {  // the sums themselves: another operator scales them
      Store(out, bias ? product + *bias : product);
      return;
    }
    const auto values = Dequantize(product, {bias, PartOf(call.scale, index, stacked),
                                             PartOf(call.offset, index, stacked), row_scale});
    StoreRounded(out, Activate(values, call.activation));
    return;
  }
  if (!call.antiquant_scale.empty()) {
    if (weight.scalar_type() == at::kInt) weight = UnpackInt4(weight);
    weight = AntiQuantize(weight, *PartOf(call.antiquant_scale, index, stacked),
                          PartOf(call.antiquant_offset, index, stacked));
    const auto values = at::matmul(x.to(at::kFloat), weight);
    Store(out, bias ? values + *bias : values);
  } else if (bias) {
    Store(out, at::matmul(x.to(at::kFloat), weight.to(at::kFloat)) + *bias);
  } else {
    at::matmul_out(out, x, weight);
  }
}

// One x, whose rows the groups share.
void MultiplyRows(const GroupedCall& call, const std::vector<Group>& groups) {
  const auto weights = ReadAll(call.weight);
  const auto& x = call.x[0];
  for (const auto& group : groups) {
    if (group.size() == 0) continue;
    const auto rows = [&](const Tensor& t) { return t.slice(0, group.begin, group.end); };
    Multiply(call, weights, group.index, rows(x),
             call.per_token_scale.empty() ? OptTensor() : rows(call.per_token_scale[0]),
             call.out.size() == 1 ? rows(call.out[0]) : call.out[group.index]);
  }
}

// One x for every matrix.
void MultiplyLists(const GroupedCall& call) {
  const auto weights = ReadAll(call.weight);
  int64_t begin = 0;
  for (size_t i = 0; i < call.x.size(); ++i) {
    const auto rows = call.x[i].size(0);
    if (call.x[i].numel() > 0) {
      Multiply(call, weights, static_cast<int64_t>(i), call.x[i],
               PartOf(call.per_token_scale, i, false),
               call.out.size() == 1 ? call.out[0].narrow(0, begin, rows) : call.out[i]);
    }
    begin += rows;
  }
}

// The groups share the dimension that is summed up: out[group] = x[:, rows] @ weight[rows].
void MultiplyColumns(const GroupedCall& call, const std::vector<Group>& groups) {
  const auto weight = call.weight[0].Read();
  for (const auto& group : groups) {
    Tensor out = call.out[0].select(0, group.index);
    Store(out, at::matmul(call.x[0].slice(1, group.begin, group.end),
                          weight.slice(0, group.begin, group.end)));
  }
}

void CheckDtypes(const GroupedCall& call) {
  const auto x = call.x[0].scalar_type(), weight = call.weight[0].scalar_type();
  const auto out = call.out[0].scalar_type();
  const bool quantized = x == at::kChar, anti = !call.antiquant_scale.empty();
  if (quantized) {
    Require(weight == at::kChar, "weight must be int8 with an int8 x, got ", weight);
    Require(!call.scale.empty() || out == at::kInt, "scale must be given with an int8 x");
    Limit(call.offset.empty(), "offset must be absent");
    Limit(call.group_type != kSplitK, "groupType 2 takes no quantized tensors");
  } else {
    Require(at::isFloatingType(x), "x must be a floating-point tensor or int8, got ", x);
    Require(call.scale.empty() && call.per_token_scale.empty() && call.offset.empty(),
            "scale, offset and perTokenScale are only taken with an int8 x");
    Require(anti ? weight == at::kChar || weight == at::kInt : weight == x, "weight has dtype ",
            weight, ", x has ", x);
    Require(out == x, "out must have x's dtype, ", x);
    Limit(!anti || x != at::kFloat, "antiquantScale takes a float16 or bfloat16 x");
    const auto bias_type = x == at::kBFloat16 ? at::kFloat : x;
    Limit(call.bias.empty() || call.bias[0].scalar_type() == bias_type, "bias must be ", bias_type,
          " with this x");
  }
  Limit(call.activation == kNone || !call.per_token_scale.empty(),
        "activations are only taken with perTokenScale");
}

void CheckShapes(const GroupedCall& call) {
  constexpr int64_t kInnerLimit = 65536;
  constexpr size_t kListLimit = 128;
  Require(!call.x.empty() && !call.weight.empty() && !call.out.empty(),
          "x, weight and out must not be empty lists");
  for (const auto* list : {&call.x, &call.out}) {
    for (const auto& tensor : *list) {
      Require(tensor.defined() && tensor.dim() >= 2, "x and out must be matrices");
    }
  }
  for (const auto size : {call.x.size(), call.weight.size()}) {
    Limit(size <= kListLimit, "a list must have at most 128 tensors, got ", size);
  }
  const auto k = call.x[0].size(-1);
  for (const auto& weight : call.weight) {
    Require(weight.dim() >= 2, "weight must be matrices");
    const auto rows = weight.size(-2);
    Require(call.group_type == kSplitK || call.x.size() > 1 || rows == k, "weight must have ", k,
            " rows, as x has columns, got ", rows);
    Limit(weight.size(-1) < kInnerLimit && k < kInnerLimit,
          "the last dimensions of x and weight must be less than 65536");
  }
}

Work PlanLists(GroupedCall call) {
  CheckShapes(call);
  CheckDtypes(call);
  Require(call.x.size() == call.weight.size(), "x and weight must be lists of one length, got ",
          call.x.size(), " and ", call.weight.size());
  for (size_t i = 0; i < call.x.size(); ++i) {
    Require(call.x[i].size(-1) == call.weight[i].size(-2), "x[", i, "] and weight[", i,
            "] do not match");
  }
  return [call = std::move(call)] { MultiplyLists(call); };
}

// `groups` gives the groups when the work runs.
template <class Groups>
Work PlanGroups(GroupedCall call, int64_t count, Groups groups) {
  CheckShapes(call);
  CheckDtypes(call);
  Require(call.x.size() == 1 && call.x[0].dim() == 2, "x must be one matrix with groupList");
  Limit(count <= 1024, "groupList must have at most 1024 groups, got ", count);
  if (call.group_type == kSplitK) {
    Require(call.weight.size() == 1 && call.weight[0].dim() == 2 && call.out.size() == 1 &&
                call.out[0].dim() == 3,
            "groupType 2 takes one weight [k, n] and one out [groups, m, n]");
    return [call = std::move(call), groups] { MultiplyColumns(call, groups()); };
  }
  const auto matrices =
      IsStacked(call.weight) ? call.weight[0].size(0) : static_cast<int64_t>(call.weight.size());
  Require(count <= matrices, "groupList has ", count, " groups, weight ", matrices, " matrices");
  return [call = std::move(call), groups] { MultiplyRows(call, groups()); };
}

Work PlanGroupedMatmul(GroupedCall call, const OptTensor& group_list, int64_t split_item,
                       int64_t group_list_type) {
  Require(split_item >= 0 && split_item <= 3, "splitItem must be from 0 to 3, got ", split_item);
  Require(
      call.group_type == kNoSplit || call.group_type == kSplitRows || call.group_type == kSplitK,
      "groupType must be -1, 0 or 2, got ", call.group_type);
  Require(call.activation >= 0 && call.activation <= kSilu && call.activation != 3,
          "actType must be 0, 1, 2, 4 or 5, got ", call.activation);
  Require((split_item < 2) == (call.out.size() != 1) || call.weight.size() == 1, "splitItem ",
          split_item, " does not fit ", call.out.size(), " outputs");
  if (!group_list) return PlanLists(std::move(call));
  Require(group_list->scalar_type() == at::kLong, "groupList must be int64");
  Require(group_list_type >= kCumulative && group_list_type <= kPairs,
          "groupListType must be 0, 1 or 2, got ", group_list_type);
  Require(group_list->dim() == (group_list_type == kPairs ? 2 : 1),
          "groupList must have 1 dimension, with groupListType 2 two");
  Limit(group_list_type != kPairs ||
            (call.x[0].scalar_type() == at::kChar && call.group_type == kSplitRows),
        "groupListType 2 takes an int8 x and groupType 0");
  if (call.x.size() > 1) return PlanLists(std::move(call));  // the list repeats x's sizes
  const auto rows = call.x[0].size(call.group_type == kSplitK ? 1 : 0);
  return PlanGroups(std::move(call), group_list->size(0),
                    [list = *group_list, group_list_type, rows] {
                      return ReadGroups(list, group_list_type, rows);
                    });
}

}  // namespace

#define GROUPED_MATMUL_INPUTS                                                               \
  const Tensors &x, const FormattedTensors &weight, const OptTensors &bias,                 \
      const OptTensors &scale, const OptTensors &offset, const OptTensors &antiquant_scale, \
      const OptTensors &antiquant_offset

// The older operator: where groups end is known on the host.
ACLNN_PLANNED_OP(aclnnGroupedMatmul, (GROUPED_MATMUL_INPUTS, const OptInts& group_list,
                                      int64_t split_item, Tensors& out)) {
  GroupedCall call{x,
                   weight,
                   OrNone(bias),
                   OrNone(scale),
                   OrNone(offset),
                   OrNone(antiquant_scale),
                   OrNone(antiquant_offset),
                   {},
                   out,
                   kSplitRows};
  if (!group_list || group_list->empty() || x.size() > 1) return PlanLists(std::move(call));
  Require(split_item >= 0 && split_item <= 3, "splitItem must be from 0 to 3, got ", split_item);
  Require(group_list->size() == weight.size(), "groupList must have one element per weight");
  Limit(group_list->size() > 1, "groupList must have more than one element");
  std::vector<Group> groups;
  int64_t begin = 0;
  for (const auto end : *group_list) {
    Require(end >= begin && end <= x.at(0).size(0), "groupList must rise and stay within x's rows");
    groups.push_back({static_cast<int64_t>(groups.size()), begin, end});
    begin = end;
  }
  const auto count = static_cast<int64_t>(groups.size());
  return PlanGroups(std::move(call), count, [groups = std::move(groups)] { return groups; });
}

#define GROUPED_MATMUL_MORE_INPUTS                                                       \
  const OptTensors &per_token_scale, const OptTensor &group_list,                        \
      const OptTensors &activation_input, const OptTensors &activation_quant_scale,      \
      const OptTensors &activation_quant_offset, int64_t split_item, int64_t group_type, \
      int64_t group_list_type, int64_t act_type

#define GROUPED_MATMUL_OUTPUTS                             \
  Tensors &out, OptTensors & /*activation_out: reserved*/, \
      OptTensors & /*dynamic_quant_scale_out: reserved*/

#define PLAN_GROUPED_MATMUL()                                                                \
  Require(OrNone(activation_input).empty() && OrNone(activation_quant_scale).empty() &&      \
              OrNone(activation_quant_offset).empty(),                                       \
          "activationInput, activationQuantScale and activationQuantOffset must be absent"); \
  return PlanGroupedMatmul(                                                                  \
      {x, weight, OrNone(bias), OrNone(scale), OrNone(offset), OrNone(antiquant_scale),      \
       OrNone(antiquant_offset), OrNone(per_token_scale), out, group_type, act_type},        \
      group_list, split_item, group_list_type)

// torch_npu takes a group list on the device only where there is this version.
ACLNN_PLANNED_OP(aclnnGroupedMatmulV4,
                 (GROUPED_MATMUL_INPUTS, GROUPED_MATMUL_MORE_INPUTS, GROUPED_MATMUL_OUTPUTS)) {
  PLAN_GROUPED_MATMUL();
}
ACLNN_PLANNED_OP(aclnnGroupedMatmulV5,
                 (GROUPED_MATMUL_INPUTS, GROUPED_MATMUL_MORE_INPUTS,
                  const OptInts& /*tuning_config: speed only*/, GROUPED_MATMUL_OUTPUTS)) {
  PLAN_GROUPED_MATMUL();
}

ACLNN_PLANNED_OP(aclnnGroupedMatmulWeightNz, (GROUPED_MATMUL_INPUTS, GROUPED_MATMUL_MORE_INPUTS,
                                              const OptInts& /*tuning_config: speed only*/,
                                              int64_t quant_group_size, GROUPED_MATMUL_OUTPUTS)) {
  Require(quant_group_size == 0,
          "quantGroupSize must be 0: int4 weights with int8 rows are not supported");
  for (const auto& each : weight) RequireFractal(each, "weight");
  PLAN_GROUPED_MATMUL();
}

}  // namespace ascend_sim::opapi
