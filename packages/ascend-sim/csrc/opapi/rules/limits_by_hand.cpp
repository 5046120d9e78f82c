// SPDX-License-Identifier: Apache-2.0
//
// Dtypes and dimensions that operators take on the A2 and A3 where spec/limits.toml, which has what
// CANN's pages say, does not tell: an operator without a page or a table in it, a dtype that is
// that of another argument, a sentence that the generator cannot read. Outputs are not limited.
//
// Sources, named beside each block:
//   nn, cv, transformer   CANN's repositories of operators (hicann/ops-nn e5c3fa93, ops-cv,
//                         ops-transformer c29bc106, what is newer 307cfaf2):
//                         FOLDER/docs/aclnnNAME.md, the section of constraints, or, where a page
//                         is not written yet, the dtypes that FOLDER/op_host/*_def.cpp registers
//   npu_NAME              torch_npu's documentation (op-plugin, docs/zh/custom_APIs/torch_npu)
// Where they differ, the wider reading is in the table.
#include "opapi/rules/limits.h"

namespace ascend_sim::opapi {
namespace {

constexpr auto kFloat32 = SetOf(at::kFloat);
constexpr auto kBFloat16 = SetOf(at::kBFloat16);
constexpr auto kHalf = SetOf(at::kHalf);
constexpr auto kHalfTypes = kHalf | kBFloat16;
constexpr auto kFloatTypes = kHalfTypes | kFloat32;
constexpr auto kFloatsAndDouble = kFloatTypes | SetOf(at::kDouble);
constexpr auto kInt8 = SetOf(at::kChar), kInt32 = SetOf(at::kInt), kBool = SetOf(at::kBool);
constexpr auto kIndexTypes = kInt32 | SetOf(at::kLong);
constexpr auto kCached = kFloatTypes | kInt8 | kInt32 | SetOf(at::kByte, at::kShort);

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
      {"aclnnRmsNorm", {As(1, "gamma", 0, kFloat32)}},
      {"aclnnGemmaRmsNorm", {As(1, "gamma", 0)}},
      {"aclnnAddRmsNorm", {As(1, "x2", 0), As(2, "gamma", 0)}},
      {"aclnnInplaceAddRmsNorm", {As(1, "x2Ref", 0), As(2, "gamma", 0)}},
      {"aclnnAddRmsNormCast", {As(1, "x2", 0), As(2, "gamma", 0)}},
      {"aclnnRmsNormGrad", {As(1, "x", 0), As(3, "gamma", 0, kFloat32)}},
      {"aclnnLayerNorm", {As(2, "weight", 0, kFloat32), As(3, "bias", 0, kFloat32)}},
      {"aclnnFastLayerNorm", {As(2, "weight", 0, kFloat32), As(3, "bias", 0, kFloat32)}},
      {"aclnnLayerNormBackward",
       {As(1, "input", 0), As(5, "weight", 1, kFloat32), As(6, "bias", 1, kFloat32)}},
      {"aclnnAddLayerNorm", {As(3, "beta", 2)}},
      {"aclnnAddLayerNormGrad",
       {As(1, "x1", 0), As(2, "x2", 0), As(5, "gamma", 0), As(6, "dsumOptional", 0)}},
      {"aclnnGroupNorm", {As(1, "gamma", 0, 0, 1, 1), As(2, "beta", 0, 0, 1, 1)}},
      {"aclnnGroupNormBackward",
       {As(1, "input", 0), As(2, "mean", 0), As(3, "rstd", 2), As(4, "gamma", 2)}},
      {"aclnnGroupNormSilu",
       {Of(0, "self", kFloatTypes, 2), As(1, "gamma", 0, kFloat32, 1, 1),
        As(2, "beta", 0, kFloat32, 1, 1)}},
      {"aclnnGroupNormSwish", {As(1, "gamma", 0, kFloat32, 1, 1), As(2, "beta", 1)}},
      {"aclnnBatchNormBackward", {As(1, "input", 0)}},

      // --- activations: nn/activation/* ---
      {"aclnnSwiGluGrad", {As(1, "x", 0)}},
      {"aclnnFastGeluBackward", {As(1, "self", 0)}},
      {"aclnnGluBackward", {As(1, "self", 0)}},
      {"aclnnEluBackward", {As(5, "selfOrResult", 0)}},
      {"aclnnPreluBackward", {As(1, "self", 0), As(2, "weight", 0)}},
      {"aclnnSoftshrinkBackward", {As(1, "self", 0)}},
      {"aclnnHardshrinkBackward", {As(1, "self", 0)}},
      {"aclnnHardtanhBackward", {As(1, "self", 0)}},
      {"aclnnThresholdBackward", {As(1, "self", 0)}},
      {"aclnnLogSigmoidBackward", {As(1, "self", 0)}},
      {"aclnnLogitGrad", {As(1, "dy", 0)}},

      // --- convolutions: nn/conv/*, cv/image/col2im ---
      {"aclnnConvTbc", {As(2, "bias", 0, 0, 1, 1)}},
      {"aclnnConvolutionBackward",
       {Of(0, "gradOutput", kFloatTypes, 3, 5), Of(1, "input", kFloatTypes, 3, 5),
        Of(2, "weight", kFloatTypes, 3, 5)}},
      {"aclnnIm2colBackward", {Of(0, "gradOutput", kFloatTypes, 2, 3)}},

      // --- pooling: nn/pooling/* ---
      {"aclnnAdaptiveAvgPool2dBackward", {As(1, "self", 0, 0, 3, 4)}},
      {"aclnnAdaptiveAvgPool3dBackward", {As(1, "self", 0, 0, 4, 5)}},
      {"aclnnMaxPool2dWithMask", {}, {NoDilation(4)}},
      {"aclnnMaxPool2dWithMaskBackward", {}, {NoDilation(6)}},
      {"aclnnMaxPool2dWithIndices", {}, {NoDilation(4)}},
      {"aclnnMaxPool2dWithIndicesBackward", {}, {NoDilation(6)}},
      {"aclnnMaxPool3dWithArgmax", {}, {NoDilation(4)}},
      {"aclnnAdaptiveMaxPool2dBackward", {As(1, "self", 0, 0, 3, 4)}},
      {"aclnnAdaptiveMaxPool3dBackward",
       {As(1, "self", 0, 0, 4, 5), Of(2, "indices", kIndexTypes, 4, 5)}},

      // --- quantization: nn/quant/*, nn/index/quant_update_scatter ---
      {"aclnnDynamicQuantV2",
       {Of(0, "x", kHalfTypes, 2), As(1, "smoothScales", 0), Of(2, "groupIndex", kInt32, 1, 1)}},
      {"aclnnDynamicQuantV3", {As(1, "smoothScales", 0)}},
      {"aclnnAscendQuantV3", {As(2, "offset", 1)}},
      {"aclnnAscendAntiQuant", {As(2, "offset", 1)}},
      {"aclnnGroupQuant", {As(3, "offset", 1)}},
      {"aclnnSwiGluQuantV2", {Of(0, "x", kFloatTypes, 2), Of(3, "groupIndex", kInt32, 1, 1)}},
      // The page of the first version has fewer dimensions than the second's, for the same tensors.
      {"aclnnDequantSwigluQuant",
       {Of(0, "x", kHalfTypes | kInt32, 2, 2), Of(2, "activationScale", kFloat32, 1, 7),
        Of(3, "bias", kFloatTypes | kInt32, 1, 2), Of(6, "groupIndex", SetOf(at::kLong), 1, 1)}},
      {"aclnnDequantSwigluQuantV2",
       {Of(0, "x", kHalfTypes | kInt32, 2, 2), Of(6, "groupIndex", SetOf(at::kLong), 1, 1)}},
      // The page's dimensions are not those of its text and of the second version's page.
      {"aclnnInplaceQuantScatter",
       {Of(1, "indices", kIndexTypes, 1, 2), Of(3, "quantScales", kFloat32 | kBFloat16, 1),
        Of(4, "quantZeroPoints", kInt32 | kBFloat16, 1)}},
      {"aclnnRmsNormQuant",
       {As(1, "gamma", 0, 0, 1, 2), As(2, "beta", 0, 0, 1, 2), As(3, "scale", 0, 0, 1, 1)}},
      {"aclnnAddRmsNormQuantV2",
       {As(1, "x2", 0), As(2, "gamma", 0), As(4, "scales2", 3), As(6, "zeroPoints2", 5),
        As(7, "beta", 2)}},
      {"aclnnAddRmsNormDynamicQuantV2",
       {As(1, "x2", 0), As(2, "gamma", 0, 0, 1, 1), As(3, "smoothScale1", 0, 0, 1, 1),
        As(4, "smoothScale2", 0, 0, 1, 1), As(5, "beta", 0, 0, 1, 1)}},

      // --- mixture of experts: transformer/moe/* (op_host), npu_moe_* ---
      {"aclnnMoeGatingTopKSoftmax",
       {Of(0, "x", kFloatTypes, 2, 3), Of(1, "finished", kBool, 1, 2)}},
      {"aclnnMoeGatingTopKSoftmaxV2",
       {Of(0, "x", kFloatTypes, 2, 3), Of(1, "finished", kBool, 1, 2)}},
      {"aclnnMoeGatingTopK", {Of(0, "x", kFloatTypes, 2, 2), As(1, "bias", 0, 0, 1, 1)}},
      {"aclnnMoeGatingTopKBackward",
       {Of(0, "xNorm", kFloat32, 2, 2), Of(1, "gradY", kFloatTypes, 2, 2),
        Of(2, "expertIdx", kInt32, 2, 2)}},
      {"aclnnMoeInitRouting",
       {Of(0, "x", kFloatTypes, 2, 2), Of(1, "rowIdx", kInt32, 2, 2),
        Of(2, "expertIdx", kInt32, 2, 2)}},
      {"aclnnMoeInitRoutingV3", {Of(3, "offset", kFloat32, 1, 2)}},
      {"aclnnMoeComputeExpertTokens", {Of(0, "sortedExperts", kInt32, 1, 1)}},
      {"aclnnMoeTokenPermute",
       {Of(0, "tokens", kFloatTypes | kInt8, 2, 2), Of(1, "indices", kIndexTypes, 1, 2)}},
      {"aclnnMoeTokenUnpermute",
       {Of(0, "permutedTokens", kFloatTypes, 2, 2), Of(1, "sortedIndices", kInt32, 1, 1),
        Of(2, "probs", kFloatTypes, 2, 2)}},
      {"aclnnMoeFinalizeRoutingV4",
       {Of(0, "expandedX", kFloatTypes, 2, 3), Of(1, "expandedRowIdx", kInt32, 1, 1),
        As(2, "x1", 0, 0, 2, 2), As(3, "x2", 0, 0, 2, 2), As(4, "bias", 0, 0, 2, 2),
        As(5, "scales", 0, kFloat32, 2, 2), Of(6, "expertIdx", kInt32, 2, 2)}},
      {"aclnnMoeReRouting",
       {Of(0, "tokens", kHalfTypes | kInt8, 2, 2),
        Of(1, "expertTokenNumPerRank", kIndexTypes, 2, 2),
        Of(2, "perTokenScales", kFloat32, 1, 1)}},
      {"aclnnMoeDistributeDispatch",
       {Of(0, "x", kHalfTypes, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "scales", kFloat32, 2, 2), Of(4, "expertScales", kFloat32, 2, 2)}},
      {"aclnnMoeDistributeDispatchV4",
       {Of(0, "x", kHalfTypes, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "scales", kFloat32, 2, 2), Of(3, "xActiveMask", kBool, 1, 2),
        Of(4, "expertScales", kFloat32, 2, 2)}},
      {"aclnnMoeDistributeCombine",
       {Of(0, "expandX", kHalfTypes, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "expandIdx", kInt32, 1, 1), Of(3, "epSendCounts", kInt32, 1, 1),
        Of(4, "expertScales", kFloat32, 2, 2), Of(10, "expandScales", kFloat32, 1, 1)}},
      {"aclnnMoeDistributeCombineV4",
       {Of(0, "expandX", kHalfTypes, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(2, "assistInfo", kInt32, 1, 1), Of(3, "epSendCounts", kInt32, 1, 1),
        Of(4, "expertScales", kFloat32, 2, 2), Of(6, "xActiveMask", kBool, 1, 2),
        Of(10, "expandScales", kFloat32, 1, 1), As(11, "sharedExpertX", 0)}},

      {"aclnnMoeDistributeCombineAddRmsNormV2",
       {Of(0, "expandX", kBFloat16, 2, 2), Of(1, "expertIds", kInt32, 2, 2),
        Of(4, "expertScales", kFloat32, 2, 2), Of(5, "residualX", kBFloat16, 3, 3),
        Of(6, "gamma", kBFloat16, 1, 1), Of(8, "xActiveMask", kBool, 1, 2),
        As(13, "sharedExpertX", 0, 0, 2, 2)}},
      {"aclnnMoeInitRoutingQuantV2",
       {Of(0, "x", kFloatTypes, 2, 2), Of(1, "expertIdx", kInt32, 2, 2),
        Of(2, "scale", kFloat32, 1, 2), Of(3, "offset", kFloat32, 1, 1)}},
      {"aclnnMoeTokenPermuteWithRoutingMap",
       {Of(0, "tokens", kFloatTypes, 2, 2), Of(1, "routingMap", kBool | kInt8, 2, 2),
        Of(2, "probs", kFloatTypes, 2, 2)}},
      {"aclnnMoeTokenUnpermuteWithRoutingMap",
       {Of(0, "permutedTokens", kFloatTypes, 2, 2), Of(1, "sortedIndices", kInt32, 1, 1),
        Of(2, "routingMap", kBool | kInt8, 2, 2), Of(3, "probs", kFloatTypes, 2, 2)}},

      // --- products beside a collective: npu_mm_all_reduce_base (x3 has the output's shape)
      {"aclnnMatmulAllReduceV2", {As(3, "x3", 0, 0, 2, 3)}},

      // --- caches: nn/index/scatter (op_api), npu_scatter_pa_kv_cache, npu_kv_rmsnorm_rope_cache,
      // npu_mla_prolog_v2 and _v3
      {"aclnnInplaceScatterUpdate", {As(2, "updates", 0, 0, 2)}},
      {"aclnnScatterPaKvCache",
       {Of(0, "key", kCached, 3, 4), As(1, "keyCacheRef", 0), Of(2, "slotMapping", kIndexTypes),
        As(3, "value", 0, 0, 3, 4), As(4, "valueCacheRef", 0)}},
      {"aclnnScatterPaCache",
       {Of(0, "key", kCached, 3, 4), As(1, "keyCacheRef", 0), Of(2, "slotMapping", kIndexTypes)}},
      {"aclnnKvRmsNormRopeCache",
       {Of(0, "kv", kHalfTypes, 4, 4), Of(1, "gamma", kHalfTypes, 1, 1),
        Of(2, "cos", kHalfTypes, 4, 4), Of(3, "sin", kHalfTypes, 4, 4),
        Of(4, "index", SetOf(at::kLong)), Of(7, "kRopeScale", kFloat32),
        Of(8, "cKvScale", kFloat32)}},
      {"aclnnKvRmsNormRopeCacheV2",
       {Of(0, "kv", kHalfTypes, 4, 4), Of(1, "gamma", kHalfTypes, 1, 1),
        Of(2, "cos", kHalfTypes, 4, 4), Of(3, "sin", kHalfTypes, 4, 4),
        Of(4, "index", SetOf(at::kLong)), Of(7, "kRopeScale", kFloat32),
        Of(8, "cKvScale", kFloat32)}},

      {"aclnnQkvRmsNormRopeCache",
       {Of(0, "qkv", kHalfTypes, 2, 2), As(1, "qGamma", 0, 0, 1, 1), As(2, "kGamma", 0, 0, 1, 1),
        As(3, "cos", 0, 0, 2, 2), As(4, "sin", 0, 0, 2, 2), Of(5, "index", SetOf(at::kLong), 1, 1),
        As(6, "qOut", 0, 0, 2, 2), As(7, "kCache", 0, kInt8, 4, 4), As(8, "vCache", 0, kInt8, 4, 4),
        Of(9, "kScale", kFloat32, 2, 2), Of(10, "vScale", kFloat32, 2, 2),
        Of(11, "kOffset", kFloat32, 2, 2), Of(12, "vOffset", kFloat32, 2, 2)}},
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
      // npu_interleave_rope, npu_apply_rotary_pos_emb (whose TND has three dimensions)
      {"aclnnRopeWithSinCosCache",
       {Of(0, "positions", kIndexTypes, 1, 2), Of(1, "queryIn", kFloatTypes), As(2, "keyIn", 1),
        As(3, "cosSinCache", 1, 0, 2, 2)}},
      {"aclnnRopeWithSinCosCacheV2",
       {Of(0, "positions", kIndexTypes, 1, 2), Of(1, "queryIn", kFloatTypes), As(2, "keyIn", 1),
        As(3, "cosSinCache", 1, 0, 2, 2)}},
      {"aclnnRotaryPositionEmbedding", {As(2, "sin", 1, 0, 3, 4)}},
      {"aclnnRotaryPositionEmbeddingV2",
       {Of(0, "x", kFloatTypes, 3, 4), Of(1, "cos", kFloatTypes, 3, 4), As(2, "sin", 1, 0, 3, 4),
        Of(4, "rotate", kFloatTypes, 2, 2)}},
      {"aclnnInterleaveRope", {Of(0, "x", kHalfTypes, 4, 4)}},
      {"aclnnApplyRotaryPosEmb",
       {Of(0, "queryRef", kFloatTypes, 3, 4), As(1, "keyRef", 0, 0, 3, 4), As(2, "cos", 0, 0, 3, 4),
        As(3, "sin", 0, 0, 3, 4)}},
      {"aclnnApplyRotaryPosEmbV2",
       {Of(0, "queryRef", kFloatTypes, 3, 4), As(1, "keyRef", 0, 0, 3, 4), As(2, "cos", 0, 0, 3, 4),
        As(3, "sin", 0, 0, 3, 4)}},

      // Of 3 dimensions too, as the forward takes them and op-plugin's test of the gradient does.
      {"aclnnRotaryPositionEmbeddingGrad",
       {Of(0, "dy", kFloatTypes, 3, 4), As(1, "cos", 0, 0, 3, 4), As(2, "sin", 0, 0, 3, 4),
        As(3, "xOptional", 0, 0, 3, 4)}},

      // --- losses: nn/loss/* ---
      {"aclnnCtcLossBackward",
       {As(1, "logProbs", 0), As(5, "negLogLikelihood", 0), As(6, "logAlpha", 0)}},
      {"aclnnCrossEntropyLossGrad", {As(1, "logProb", 0)}},

      // --- recurrent networks: nn/rnn/*; all tensors of a call have one dtype ---
      {"aclnnLSTM", {Of(0, "input", kFloat32 | kHalf, 2, 3), As(1, "params", 0), As(2, "hx", 0)}},
      {"aclnnLstmBackward",
       {As(1, "hx", 0), As(2, "params", 0), As(3, "dy", 0), As(4, "dh", 0), As(5, "dc", 0)}},
      {"aclnnGRU", {As(1, "params", 0), As(2, "hx", 0)}},
      {"aclnnGRUBackward", {As(1, "params", 0), As(2, "hx", 0), As(3, "dy", 0), As(4, "dh", 0)}},
      {"aclnnThnnFusedLstmCell",
       {As(1, "hiddenGates", 0), As(2, "cx", 0), As(3, "inputBiasOptional", 0),
        As(4, "hiddenBiasOptional", 0)}},
      {"aclnnThnnFusedLstmCellBackward", {As(3, "cy", 2), As(4, "storage", 2)}},

      // --- embeddings and sampling: nn/index/*, nn/norm/renorm ---
      {"aclnnEmbeddingBag",
       {Of(1, "indices", kIndexTypes, 0, 1), Of(6, "perSampleWeights", kFloatTypes, 0, 1)}},
      {"aclnnApplyTopKTopP", {As(1, "p", 0, 0, 1, 1)}},
      {"aclnnTopKTopPSample", {As(2, "topP", 0, 0, 1, 1)}},
      {"aclnnTopKTopPSampleV2", {As(2, "topP", 0, 0, 1, 1), As(4, "minPs", 0, 0, 1, 1)}},
  };
  return *table;
}

}  // namespace

std::span<const OperatorLimits> LimitsByHand() { return Table(); }

std::span<const UncheckedLimit> UncheckedLimits() {
  static constexpr UncheckedLimit kUnchecked[] = {
      // The page is about casts to FRACTAL_NZ only.
      {"aclnnNpuFormatCast", "dstTensor"},
      // An index that is absent arrives as an empty tensor of any dtype.
      {"aclnnIndex", "indices"},
      {"aclnnIndexPutImpl", "indices"},
      // So does an offset that torch_npu does not pass.
      {"aclnnQuantMatmulV5", "yOffset"},
      {"aclnnQuantMatmulWeightNz", "yOffset"},
      // Whose bodies know more of what is taken together (attention/limits.cpp).
      {"aclnnFusedInferAttentionScoreV2", nullptr},
      {"aclnnFusedInferAttentionScoreV3", nullptr},
      {"aclnnFusedInferAttentionScoreV4", nullptr},
      {"aclnnFlashAttentionScore", nullptr},
      // Whose page is about another version.
      {"aclnnMlaPrologV3WeightNz", nullptr},
  };
  return kUnchecked;
}

}  // namespace ascend_sim::opapi
