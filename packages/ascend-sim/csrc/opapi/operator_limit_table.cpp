// SPDX-License-Identifier: Apache-2.0
//
// Dtypes and dimensions that operators take on the A2 and A3. Arguments that are not listed, and
// operators that are not, are not limited here; nor are weights that may be in FRACTAL_NZ, and
// outputs.
//
// Sources, named beside each block:
//   nn, cv, transformer   CANN's repositories of operators (hicann/ops-nn e5c3fa93, ops-cv,
//                         ops-transformer c29bc106): FOLDER/docs/aclnnNAME.md, the table of
//                         parameters and the section of constraints, or, where a page is not
//                         written yet, the dtypes that FOLDER/op_host/*_def.cpp registers
//   npu_NAME              torch_npu's documentation (op-plugin, docs/zh/custom_APIs/torch_npu)
// Where they differ, the wider reading is in the table.
#include <ATen/ATen.h>

#include "operator_limits.h"

namespace ascend_sim::opapi {
namespace {

template <class... Types>
constexpr DtypeSet SetOf(Types... types) {
  return ((DtypeSet{1} << static_cast<int>(types)) | ...);
}

constexpr auto kFloat32 = SetOf(at::kFloat);
constexpr auto kBFloat16 = SetOf(at::kBFloat16);
constexpr auto kHalves = SetOf(at::kHalf) | kBFloat16;
constexpr auto kFloats = kHalves | kFloat32;
constexpr auto kFloatsAndDouble = kFloats | SetOf(at::kDouble);
constexpr auto kInt8 = SetOf(at::kChar), kInt32 = SetOf(at::kInt), kBool = SetOf(at::kBool);
constexpr auto kIndices = kInt32 | SetOf(at::kLong);
constexpr auto kImages = kFloatsAndDouble | SetOf(at::kByte);
constexpr auto kCached = kFloats | kInt8 | kInt32 | SetOf(at::kByte, at::kShort);
constexpr auto kNumbers = kFloats | kIndices | kInt8 | SetOf(at::kByte, at::kShort);

TensorLimit Of(int argument, const char* name, DtypeSet dtypes, int least = 0, int most = 8) {
  return {argument, name, dtypes, -1, least, most};
}
// The dtype of argument `as`, or one of `others`.
TensorLimit As(int argument, const char* name, int as, DtypeSet others = 0, int least = 0,
               int most = 8) {
  return {argument, name, others, as, least, most};
}

ValueLimit NoDilation(int argument) { return {argument, "dilation", 1, 1}; }

const std::vector<OperatorLimits>& Table() {
  static const auto* const table = new std::vector<OperatorLimits>{
      // --- norms: nn/norm/* ---
      {"aclnnRmsNorm", {Of(0, "x", kFloats, 1), As(1, "gamma", 0, kFloat32)}},
      {"aclnnGemmaRmsNorm", {Of(0, "x", kFloats, 1), As(1, "gamma", 0)}},
      {"aclnnAddRmsNorm", {Of(0, "x1", kFloats, 1), As(1, "x2", 0), As(2, "gamma", 0)}},
      {"aclnnAddRmsNormCast", {Of(0, "x1", kHalves, 1), As(1, "x2", 0), As(2, "gamma", 0)}},
      {"aclnnRmsNormGrad",
       {Of(0, "dy", kFloats, 2), As(1, "x", 0), Of(2, "rstd", kFloat32),
        As(3, "gamma", 0, kFloat32)}},
      {"aclnnLayerNorm",
       {Of(0, "input", kFloats, 1), As(2, "weight", 0, kFloat32), As(3, "bias", 0, kFloat32)}},
      {"aclnnFastLayerNorm",
       {Of(0, "input", kFloats, 1), As(2, "weight", 0, kFloat32), As(3, "bias", 0, kFloat32)}},
      {"aclnnLayerNormBackward",
       {Of(0, "gradOut", kFloats, 1), As(1, "input", 0), As(5, "weight", 1, kFloat32),
        As(6, "bias", 1, kFloat32)}},
      {"aclnnAddLayerNorm",
       {Of(0, "x1", kFloats, 1), Of(1, "x2", kFloats), Of(2, "gamma", kFloats), As(3, "beta", 2),
        Of(4, "bias", kFloats)}},
      {"aclnnGroupNorm",
       {Of(0, "self", kFloats, 2), As(1, "gamma", 0, 0, 1, 1), As(2, "beta", 0, 0, 1, 1)}},
      {"aclnnGroupNormBackward",
       {Of(0, "gradOut", kFloats), As(1, "input", 0), As(2, "mean", 0), As(3, "rstd", 2),
        As(4, "gamma", 2)}},
      {"aclnnGroupNormSilu",
       {Of(0, "self", kFloats, 2), As(1, "gamma", 0, kFloat32, 1, 1),
        As(2, "beta", 0, kFloat32, 1, 1)}},
      {"aclnnGroupNormSwish",
       {Of(0, "x", kFloats, 2), As(1, "gamma", 0, kFloat32, 1, 1), As(2, "beta", 1)}},
      {"aclnnBatchNorm",
       {Of(0, "input", kFloats, 2), Of(1, "weight", kFloats, 1, 1), Of(2, "bias", kFloats, 1, 1)}},
      {"aclnnBatchNormBackward", {Of(0, "gradOut", kFloats, 2), As(1, "input", 0)}},

      // --- activations: nn/activation/* ---
      {"aclnnSwiGlu", {Of(0, "x", kFloats, 1)}},
      {"aclnnSwiGluGrad", {Of(0, "yGrad", kFloats, 1), As(1, "x", 0)}},
      {"aclnnGelu", {Of(0, "self", kFloats)}},
      {"aclnnGeluV2", {Of(0, "x", kFloats)}},
      {"aclnnGeluBackwardV2", {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats)}},
      {"aclnnFastGelu", {Of(0, "self", kFloats)}},
      {"aclnnFastGeluBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0)}},
      {"aclnnGeGluV3", {Of(0, "self", kFloats)}},
      {"aclnnGeluMul", {Of(0, "input", kFloats, 2)}},
      {"aclnnGlu", {Of(0, "self", kFloatsAndDouble, 1)}},
      {"aclnnGluBackward", {Of(0, "gradOut", kFloatsAndDouble), As(1, "self", 0)}},
      {"aclnnSoftplus", {Of(0, "self", kFloats)}},
      {"aclnnElu", {Of(0, "self", kFloats)}},
      {"aclnnEluBackward", {Of(0, "gradOutput", kFloats), As(5, "selfOrResult", 0)}},
      {"aclnnCelu", {Of(0, "self", kFloats)}},
      {"aclnnLeakyRelu", {Of(0, "self", kFloats)}},
      {"aclnnLeakyReluBackward",
       {Of(0, "gradOutput", kFloatsAndDouble), Of(1, "self", kFloatsAndDouble)}},
      {"aclnnPrelu", {Of(0, "self", kFloats), Of(1, "weight", kFloats)}},
      {"aclnnPreluBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0), As(2, "weight", 0)}},
      {"aclnnSoftshrink", {Of(0, "self", kFloats)}},
      {"aclnnSoftshrinkBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0)}},
      {"aclnnHardshrink", {Of(0, "self", kFloats)}},
      {"aclnnHardshrinkBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0)}},
      {"aclnnHardtanhBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0)}},
      {"aclnnThresholdBackward",
       {Of(0, "gradOutput", kFloats | kInt32 | kInt8 | SetOf(at::kByte)), As(1, "self", 0)}},
      {"aclnnLogSigmoid", {Of(0, "self", kFloats)}},
      {"aclnnLogSigmoidForward", {Of(0, "self", kFloats)}},
      {"aclnnLogSigmoidBackward", {Of(0, "gradOutput", kFloats), As(1, "self", 0)}},
      {"aclnnLogit", {Of(0, "input", kFloats)}},
      {"aclnnLogitGrad", {Of(0, "x", kFloats), As(1, "dy", 0)}},
      {"aclnnAddRelu", {Of(0, "self", kNumbers), Of(1, "other", kNumbers)}},

      // --- products: nn/matmul/* ---
      {"aclnnMatmul", {Of(0, "self", kFloats, 1, 6)}},
      {"aclnnMm", {Of(0, "self", kFloats, 2, 2)}},
      {"aclnnAddmv", {}},
      {"aclnnBatchMatMul", {Of(0, "self", kFloats, 3, 3)}},
      {"aclnnAddmm", {Of(0, "self", kFloats, 0, 2), Of(1, "mat1", kFloats, 2, 2)}},
      {"aclnnInplaceAddmm",
       {Of(0, "selfRef", kFloats, 2, 2), Of(1, "mat1", kFloats, 2, 2),
        Of(2, "mat2", kFloats, 2, 2)}},
      {"aclnnBaddbmm",
       {Of(0, "self", kFloats, 0, 3), Of(1, "batch1", kFloats, 3, 3),
        Of(2, "batch2", kFloats, 3, 3)}},
      {"aclnnAddbmm",
       {Of(0, "self", kFloats, 0, 2), Of(1, "batch1", kFloats, 3, 3),
        Of(2, "batch2", kFloats, 3, 3)}},

      // --- convolutions: nn/conv/*, cv/image/col2im ---
      {"aclnnConvolution",
       {Of(0, "input", kFloats, 3, 5), Of(1, "weight", kFloats, 3, 5), Of(2, "bias", kFloats, 1)}},
      {"aclnnConvDepthwise2d",
       {Of(0, "self", kFloats, 4, 4), Of(1, "weight", kFloats, 4, 4),
        Of(3, "bias", kFloats, 1, 1)}},
      {"aclnnConvTbc",
       {Of(0, "self", kFloats, 3, 3), Of(1, "weight", kFloats, 3, 3), As(2, "bias", 0, 0, 1, 1)}},
      {"aclnnConvolutionBackward",
       {Of(0, "gradOutput", kFloats, 3, 5), Of(1, "input", kFloats, 3, 5),
        Of(2, "weight", kFloats, 3, 5)}},
      {"aclnnIm2colBackward", {Of(0, "gradOutput", kFloats, 2, 3)}},

      // --- pooling: nn/pooling/* ---
      {"aclnnAvgPool2d", {Of(0, "self", kFloats, 3, 4)}},
      {"aclnnAvgPool2dBackward",
       {Of(0, "gradOutput", kFloats, 3, 4), Of(1, "self", kFloats, 3, 4)}},
      {"aclnnAvgPool3d", {Of(0, "self", kFloats, 4, 5)}},
      {"aclnnAvgPool3dBackward",
       {Of(0, "gradOutput", kFloats, 4, 5), Of(1, "self", kFloats, 4, 5)}},
      {"aclnnAdaptiveAvgPool2d", {Of(0, "self", kFloats, 3, 4)}},
      {"aclnnAdaptiveAvgPool2dBackward",
       {Of(0, "gradOutput", kFloats, 3, 4), As(1, "self", 0, 0, 3, 4)}},
      {"aclnnAdaptiveAvgPool3d", {Of(0, "self", kFloats, 4, 5)}},
      {"aclnnAdaptiveAvgPool3dBackward",
       {Of(0, "gradOutput", kFloats, 4, 5), As(1, "self", 0, 0, 4, 5)}},
      {"aclnnMaxPool2dWithMask", {Of(0, "self", kFloats, 3, 4)}, {NoDilation(4)}},
      {"aclnnMaxPool2dWithMaskBackward",
       {Of(0, "gradOutput", kFloats, 3, 4), Of(1, "self", kFloats, 3, 4),
        Of(2, "indices", kInt8, 3, 4)},
       {NoDilation(6)}},
      {"aclnnMaxPool2dWithIndices", {Of(0, "self", kFloats, 3, 4)}, {NoDilation(4)}},
      {"aclnnMaxPool2dWithIndicesBackward",
       {Of(0, "gradOutput", kFloats, 3, 4), Of(1, "self", kFloats, 3, 4),
        Of(2, "indices", kIndices, 3, 4)},
       {NoDilation(6)}},
      {"aclnnMaxPool3dWithArgmax", {Of(0, "self", kFloats, 4, 5)}, {NoDilation(4)}},
      {"aclnnAdaptiveMaxPool2d", {Of(0, "self", kFloatsAndDouble, 3, 4)}},
      {"aclnnAdaptiveMaxPool2dBackward",
       {Of(0, "gradOutput", kFloats, 3, 4), As(1, "self", 0, 0, 3, 4),
        Of(2, "indices", kIndices, 3, 4)}},
      {"aclnnAdaptiveMaxPool3d", {Of(0, "self", kFloats, 4, 5)}},
      {"aclnnAdaptiveMaxPool3dBackward",
       {Of(0, "gradOutput", kFloats, 4, 5), As(1, "self", 0, 0, 4, 5),
        Of(2, "indices", kIndices, 4, 5)}},

      // --- interpolation: cv/image/* ---
      {"aclnnUpsampleNearest1d", {Of(0, "self", kImages, 3, 3)}},
      {"aclnnUpsampleNearest1dV2", {Of(0, "self", kImages, 3, 3)}},
      {"aclnnUpsampleNearest1dBackward", {Of(0, "gradOut", kFloatsAndDouble, 3, 3)}},
      {"aclnnUpsampleNearest2d", {Of(0, "self", kImages, 4, 4)}},
      {"aclnnUpsampleNearest2dV2", {Of(0, "self", kImages, 4, 4)}},
      {"aclnnUpsampleNearest2dBackward", {Of(0, "gradOut", kFloatsAndDouble, 4, 4)}},
      {"aclnnUpsampleNearest3d", {Of(0, "self", kImages, 5, 5)}},
      {"aclnnUpsampleNearest3dBackward", {Of(0, "gradOut", kFloatsAndDouble, 5, 5)}},
      {"aclnnUpsampleNearestExact1d", {Of(0, "self", kImages, 3, 3)}},
      {"aclnnUpsampleNearestExact2d", {Of(0, "self", kImages, 4, 4)}},
      {"aclnnUpsampleNearestExact3d", {Of(0, "self", kImages, 5, 5)}},
      {"aclnnUpsampleLinear1d", {Of(0, "self", kFloats, 3, 3)}},
      {"aclnnUpsampleLinear1dBackward", {Of(0, "gradOut", kFloats, 3, 3)}},
      {"aclnnUpsampleTrilinear3d", {Of(0, "self", kFloatsAndDouble, 5, 5)}},
      {"aclnnUpsampleTrilinear3dBackward", {Of(0, "gradOut", kFloatsAndDouble, 5, 5)}},

      // --- losses: nn/loss/*, nn/experimental/loss/* ---
      {"aclnnL1LossBackward",
       {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats)}},
      {"aclnnSmoothL1Loss", {Of(0, "self", kFloats), Of(1, "target", kFloats)}},
      {"aclnnSmoothL1LossBackward",
       {Of(0, "gradOut", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats)}},
      {"aclnnBinaryCrossEntropyBackward",
       {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats),
        Of(3, "weight", kFloats)}},
      {"aclnnBinaryCrossEntropyWithLogits",
       {Of(0, "self", kFloats), Of(1, "target", kFloats), Of(2, "weight", kFloats),
        Of(3, "posWeight", kFloats)}},
      {"aclnnBinaryCrossEntropyWithLogitsBackward",
       {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats),
        Of(3, "weight", kFloats), Of(4, "posWeight", kFloats)}},
      {"aclnnKlDivBackward",
       {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats)}},
      {"aclnnKlDivTargetBackward",
       {Of(0, "gradOutput", kFloats), Of(1, "self", kFloats), Of(2, "target", kFloats)}},

      // --- quantisation: nn/quant/*, nn/index/quant_update_scatter ---
      {"aclnnDynamicQuantV2",
       {Of(0, "x", kHalves, 2), As(1, "smoothScales", 0), Of(2, "groupIndex", kInt32, 1, 1)}},
      {"aclnnDynamicQuantV3",
       {Of(0, "x", kHalves, 2), As(1, "smoothScales", 0), Of(2, "groupIndex", kInt32, 1, 1)}},
      {"aclnnAscendQuantV3", {Of(0, "x", kFloats, 1), Of(1, "scale", kFloats), As(2, "offset", 1)}},
      {"aclnnQuantize",
       {Of(0, "x", kFloats, 1), Of(1, "scales", kFloat32 | kBFloat16, 1, 1),
        Of(2, "zeroPoints", kInt32 | kInt8 | SetOf(at::kByte, at::kBFloat16), 1, 1)}},
      {"aclnnAscendAntiQuant",
       {Of(0, "x", kInt8 | kInt32), Of(1, "scale", kFloat32 | kBFloat16), As(2, "offset", 1)}},
      {"aclnnDequantBias",
       {Of(0, "x", kInt32, 2, 2), Of(1, "weightScale", kFloat32 | kBFloat16, 1, 1),
        Of(2, "activateScale", kFloat32, 1, 1), Of(3, "bias", kFloats | kInt32, 1, 1)}},
      {"aclnnInplaceQuantScatter",
       {Of(0, "selfRef", kInt8), Of(1, "indices", kIndices), Of(2, "updates", kHalves)}},
      {"aclnnGroupQuant",
       {Of(0, "x", kFloats, 2, 2), Of(1, "scale", kFloats, 2, 2),
        Of(2, "groupIndex", kIndices, 1, 1), As(3, "offset", 1)}},
      {"aclnnSwiGluQuantV2",
       {Of(0, "x", kFloats, 2), Of(1, "smoothScales", kFloat32), Of(2, "offsets", kFloat32),
        Of(3, "groupIndex", kInt32, 1, 1)}},
      {"aclnnDequantSwigluQuantV2",
       {Of(0, "x", kHalves | kInt32, 2, 2), Of(1, "weightScale", kFloat32, 1, 2),
        Of(2, "activationScale", kFloat32), Of(3, "bias", kFloats | kInt32, 1, 2),
        Of(4, "quantScale", kFloat32), Of(5, "quantOffset", kFloat32),
        Of(6, "groupIndex", SetOf(at::kLong), 1, 1)}},
      {"aclnnRmsNormQuant",
       {Of(0, "x", kHalves, 1), As(1, "gamma", 0, 0, 1, 2), As(2, "beta", 0, 0, 1, 2),
        As(3, "scale", 0, 0, 1, 1), Of(4, "offset", kInt8, 1, 1)}},
      {"aclnnAddRmsNormQuantV2",
       {Of(0, "x1", kHalves, 1), As(1, "x2", 0), As(2, "gamma", 0),
        Of(3, "scales1", kFloat32 | kBFloat16), As(4, "scales2", 3),
        Of(5, "zeroPoints1", kInt32 | kBFloat16), As(6, "zeroPoints2", 5), As(7, "beta", 2)}},
      {"aclnnAddRmsNormDynamicQuantV2",
       {Of(0, "x1", kHalves, 2), As(1, "x2", 0), As(2, "gamma", 0, 0, 1, 1),
        As(3, "smoothScale1", 0, 0, 1, 1), As(4, "smoothScale2", 0, 0, 1, 1),
        As(5, "beta", 0, 0, 1, 1)}},

      // --- mixture of experts: transformer/moe/* (op_host), npu_moe_* ---
      {"aclnnMoeGatingTopKSoftmax", {Of(0, "x", kFloats, 2, 3), Of(1, "finished", kBool, 1, 2)}},
      {"aclnnMoeGatingTopKSoftmaxV2", {Of(0, "x", kFloats, 2, 3), Of(1, "finished", kBool, 1, 2)}},
      {"aclnnMoeGatingTopK", {Of(0, "x", kFloats, 2, 2), As(1, "bias", 0, 0, 1, 1)}},
      {"aclnnMoeInitRouting",
       {Of(0, "x", kFloats, 2, 2), Of(1, "rowIdx", kInt32, 2, 2),
        Of(2, "expertIdx", kInt32, 2, 2)}},
      {"aclnnMoeInitRoutingV3",
       {Of(0, "x", kFloats | kInt8, 2, 2), Of(1, "expertIdx", kInt32, 2, 2),
        Of(2, "scale", kFloat32, 1, 2), Of(3, "offset", kFloat32, 1, 2)}},
      {"aclnnMoeComputeExpertTokens", {Of(0, "sortedExperts", kInt32, 1, 1)}},
      {"aclnnMoeTokenPermute",
       {Of(0, "tokens", kFloats | kInt8, 2, 2), Of(1, "indices", kIndices, 1, 2)}},
      {"aclnnMoeTokenUnpermute",
       {Of(0, "permutedTokens", kFloats, 2, 2), Of(1, "sortedIndices", kInt32, 1, 1),
        Of(2, "probs", kFloats, 2, 2)}},
      {"aclnnMoeFinalizeRoutingV4",
       {Of(0, "expandedX", kFloats, 2, 3), Of(1, "expandedRowIdx", kInt32, 1, 1),
        As(2, "x1", 0, 0, 2, 2), As(3, "x2", 0, 0, 2, 2), As(4, "bias", 0, 0, 2, 2),
        As(5, "scales", 0, kFloat32, 2, 2), Of(6, "expertIdx", kInt32, 2, 2)}},
      {"aclnnMoeReRouting",
       {Of(0, "tokens", kHalves | kInt8, 2, 2), Of(1, "expertTokenNumPerRank", kIndices, 2, 2),
        Of(2, "perTokenScales", kFloat32, 1, 1)}},
      {"aclnnMoeDistributeDispatch",
       {Of(0, "x", kHalves, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "scales", kFloat32, 2, 2), Of(4, "expertScales", kFloat32, 2, 2)}},
      {"aclnnMoeDistributeDispatchV4",
       {Of(0, "x", kHalves, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "scales", kFloat32, 2, 2), Of(3, "xActiveMask", kBool, 1, 2),
        Of(4, "expertScales", kFloat32, 2, 2)}},
      {"aclnnMoeDistributeCombine",
       {Of(0, "expandX", kHalves, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "expandIdx", kInt32, 1, 1), Of(3, "epSendCounts", kInt32, 1, 1),
        Of(4, "expertScales", kFloat32, 2, 2), Of(10, "expandScales", kFloat32, 1, 1)}},
      {"aclnnMoeDistributeCombineV4",
       {Of(0, "expandX", kHalves, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "assistInfo", kInt32, 1, 1), Of(3, "epSendCounts", kInt32, 1, 1),
        Of(4, "expertScales", kFloat32, 2, 2), Of(6, "xActiveMask", kBool, 1, 2),
        Of(10, "expandScales", kFloat32, 1, 1), As(11, "sharedExpertX", 0)}},

      {"aclnnMoeDistributeCombineAddRmsNormV2",
       {Of(0, "expandX", kBFloat16, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(4, "expertScales", kFloat32, 2, 2), Of(5, "residualX", kBFloat16, 3, 3),
        Of(6, "gamma", kBFloat16, 1, 1), Of(8, "xActiveMask", kBool, 1, 2),
        As(13, "sharedExpertX", 0, 0, 2, 2)}},
      {"aclnnMoeInitRoutingQuantV2",
       {Of(0, "x", kFloats, 2, 2), Of(1, "expertIdx", kInt32, 2, 2), Of(2, "scale", kFloat32, 1, 2),
        Of(3, "offset", kFloat32, 1, 1)}},
      {"aclnnMoeTokenPermuteWithRoutingMap",
       {Of(0, "tokens", kFloats, 2, 2), Of(1, "routingMap", kBool | kInt8, 2, 2),
        Of(2, "probs", kFloats, 2, 2)}},
      {"aclnnMoeTokenUnpermuteWithRoutingMap",
       {Of(0, "permutedTokens", kFloats, 2, 2), Of(1, "sortedIndices", kInt32, 1, 1),
        Of(2, "routingMap", kBool | kInt8, 2, 2), Of(3, "probs", kFloats, 2, 2)}},

      // --- caches: npu_scatter_pa_kv_cache, npu_kv_rmsnorm_rope_cache, npu_mla_prolog_v2 and _v3
      {"aclnnScatterPaKvCache",
       {Of(0, "key", kCached, 3, 4), As(1, "keyCacheRef", 0), Of(2, "slotMapping", kIndices),
        As(3, "value", 0, 0, 3, 4), As(4, "valueCacheRef", 0)}},
      {"aclnnScatterPaCache",
       {Of(0, "key", kCached, 3, 4), As(1, "keyCacheRef", 0), Of(2, "slotMapping", kIndices)}},
      {"aclnnKvRmsNormRopeCache",
       {Of(0, "kv", kHalves, 4, 4), Of(1, "gamma", kHalves, 1, 1), Of(2, "cos", kHalves, 4, 4),
        Of(3, "sin", kHalves, 4, 4), Of(4, "index", SetOf(at::kLong)),
        Of(7, "kRopeScale", kFloat32), Of(8, "cKvScale", kFloat32)}},
      {"aclnnKvRmsNormRopeCacheV2",
       {Of(0, "kv", kHalves, 4, 4), Of(1, "gamma", kHalves, 1, 1), Of(2, "cos", kHalves, 4, 4),
        Of(3, "sin", kHalves, 4, 4), Of(4, "index", SetOf(at::kLong)),
        Of(7, "kRopeScale", kFloat32), Of(8, "cKvScale", kFloat32)}},

      {"aclnnMlaPrologV2WeightNz",
       {Of(0, "tokenX", kBFloat16 | kInt8, 2, 3), Of(3, "weightUk", kBFloat16, 3, 3),
        Of(5, "rmsnormGammaCq", kBFloat16, 1, 1), Of(6, "rmsnormGammaCkv", kBFloat16, 1, 1),
        Of(7, "ropeSin", kBFloat16, 2, 3), Of(8, "ropeCos", kBFloat16, 2, 3),
        Of(9, "cacheIndex", SetOf(at::kLong), 1, 2), Of(12, "dequantScaleX", kFloat32, 2, 2)}},
      {"aclnnMlaPrologV3WeightNz",
       {Of(0, "tokenX", kBFloat16 | kInt8, 2, 3), Of(3, "weightUk", kBFloat16, 3, 3),
        Of(5, "rmsnormGammaCq", kBFloat16, 1, 1), Of(6, "rmsnormGammaCkv", kBFloat16, 1, 1),
        Of(7, "ropeSin", kBFloat16, 2, 3), Of(8, "ropeCos", kBFloat16, 2, 3),
        Of(11, "cacheIndex", SetOf(at::kLong), 1, 2), Of(12, "dequantScaleX", kFloat32, 2, 2)}},

      // --- rotary embedding: transformer/posembedding/*, npu_mrope, npu_rotary_mul,
      // npu_interleave_rope
      {"aclnnRopeWithSinCosCache",
       {Of(0, "positions", kIndices, 1, 2), Of(1, "queryIn", kFloats), As(2, "keyIn", 1),
        As(3, "cosSinCache", 1, 0, 2, 2)}},
      {"aclnnRopeWithSinCosCacheV2",
       {Of(0, "positions", kIndices, 1, 2), Of(1, "queryIn", kFloats), As(2, "keyIn", 1),
        As(3, "cosSinCache", 1, 0, 2, 2)}},
      {"aclnnRotaryPositionEmbedding",
       {Of(0, "x", kFloats, 3, 4), Of(1, "cos", kFloats, 3, 4), As(2, "sin", 1, 0, 3, 4)}},
      {"aclnnRotaryPositionEmbeddingV2",
       {Of(0, "x", kFloats, 3, 4), Of(1, "cos", kFloats, 3, 4), As(2, "sin", 1, 0, 3, 4),
        Of(4, "rotate", kFloats, 2, 2)}},
      {"aclnnInterleaveRope", {Of(0, "x", kHalves, 4, 4)}},
      {"aclnnApplyRotaryPosEmb",
       {Of(0, "queryRef", kFloats, 3, 4), As(1, "keyRef", 0, 0, 3, 4), As(2, "cos", 0, 0, 3, 4),
        As(3, "sin", 0, 0, 3, 4)}},
      {"aclnnApplyRotaryPosEmbV2",
       {Of(0, "queryRef", kFloats, 3, 4), As(1, "keyRef", 0, 0, 3, 4), As(2, "cos", 0, 0, 3, 4),
        As(3, "sin", 0, 0, 3, 4)}},

      // --- embeddings and sampling: nn/index/*, nn/norm/renorm ---
      {"aclnnEmbeddingBag",
       {Of(0, "weight", kFloats, 2, 2), Of(1, "indices", kIndices, 0, 1),
        Of(2, "offsets", kIndices, 0, 1), Of(6, "perSampleWeights", kFloats, 0, 1)}},
      {"aclnnEmbeddingDenseBackward", {Of(0, "grad", kFloats, 2)}},
      {"aclnnEmbeddingRenorm", {Of(0, "selfRef", kFloats, 2, 2), Of(1, "indices", kIndices)}},
      {"aclnnApplyTopKTopP",
       {Of(0, "logits", kFloats, 2, 2), As(1, "p", 0, 0, 1, 1), Of(2, "k", kInt32, 1, 1)}},
      {"aclnnTopKTopPSample",
       {Of(0, "logits", kHalves, 2, 2), Of(1, "topK", kInt32, 1, 1), As(2, "topP", 0, 0, 1, 1),
        Of(3, "q", kFloat32, 2, 2)}},
      {"aclnnTopKTopPSampleV2",
       {Of(0, "logits", kFloats, 2, 2), Of(1, "topK", kInt32, 1, 1), As(2, "topP", 0, 0, 1, 1),
        Of(3, "q", kFloat32, 2, 2)}},
  };
  return *table;
}

}  // namespace

std::span<const OperatorLimits> AllLimits() { return Table(); }

}  // namespace ascend_sim::opapi
