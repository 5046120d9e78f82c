// SPDX-License-Identifier: Apache-2.0
//
// The operators of inference: their many arguments become one plan, and what is not simulated is
// refused by name.
#include "opapi/attention/call.h"
#include "opapi/attention/infer_attention.h"

namespace ascend_sim::opapi {
namespace {

// A pair that one tensor holds in its first dimension (antiquantScale: keys, then values).
OptTensor Half(const OptTensor& pair, int64_t index) {
  return pair ? OptTensor(pair->select(0, index)) : std::nullopt;
}

const Tensor& OnlyOne(const Tensors& list, const char* name) {
  Require(list.size() == 1, name,
          " must be a list of one tensor (a list per sequence is not supported by the simulator)");
  return list[0];
}

}  // namespace

// The arguments that all versions share, in order: before and after those that later versions
// inserted, and all their names.
#define INFER_TENSORS                                                                        \
  const Tensor &query, const Tensors &key, const Tensors &value, const OptTensor &pse_shift, \
      const OptTensor &mask, const OptInts &query_lengths, const OptInts &kv_lengths,        \
      const OptTensor &dequant_scale1, const OptTensor &quant_scale1,                        \
      const OptTensor &dequant_scale2, const OptTensor &quant_scale2,                        \
      const OptTensor &quant_offset2, const OptTensor &antiquant_scale,                      \
      const OptTensor &antiquant_offset, const OptTensor &block_table,                       \
      const OptTensor &query_padding_size, const OptTensor &kv_padding_size,                 \
      const OptTensor &key_antiquant_scale, const OptTensor &key_antiquant_offset,           \
      const OptTensor &value_antiquant_scale, const OptTensor &value_antiquant_offset,       \
      const OptTensor &key_shared_prefix, const OptTensor &value_shared_prefix,              \
      const OptInts &actual_shared_prefix_len
#define INFER_ATTRIBUTES                                                                           \
  int64_t heads, double scale, int64_t pre_tokens, int64_t next_tokens, const std::string &layout, \
      int64_t kv_heads, int64_t sparse_mode, [[maybe_unused]] int64_t inner_precise,               \
      int64_t block_size, int64_t antiquant_mode, bool lse_flag, int64_t key_antiquant_mode,       \
      int64_t value_antiquant_mode
#define INFER_NAMES                                                                                \
  query, key, value, pse_shift, mask, query_lengths, kv_lengths, dequant_scale1, quant_scale1,     \
      dequant_scale2, quant_scale2, quant_offset2, antiquant_scale, antiquant_offset, block_table, \
      query_padding_size, kv_padding_size, key_antiquant_scale, key_antiquant_offset,              \
      value_antiquant_scale, value_antiquant_offset, key_shared_prefix, value_shared_prefix,       \
      actual_shared_prefix_len, heads, scale, pre_tokens, next_tokens, layout, kv_heads,           \
      sparse_mode, inner_precise, block_size, antiquant_mode, lse_flag, key_antiquant_mode,        \
      value_antiquant_mode, out, lse

namespace {

// Refuses what is not simulated and collects the rest. `lse` may be a dummy unless lse_flag says
// that it is wanted. Scales of keys and values come one by one, or together in antiquantScale.
InferArguments CollectInference(INFER_TENSORS, INFER_ATTRIBUTES, Tensor& out, const Tensor& lse) {
  RequireAbsent(pse_shift, "pseShift");
  RequireAbsent(dequant_scale1, "deqScale1");
  RequireAbsent(quant_scale1, "quantScale1");
  RequireAbsent(dequant_scale2, "deqScale2");
  RequireAbsent(quant_scale2, "quantScale2");
  RequireAbsent(quant_offset2, "quantOffset2");
  const bool apart = key_antiquant_scale.has_value();
  return {.query = query,
          .key = OnlyOne(key, "key"),
          .value = OnlyOne(value, "value"),
          .out = out,
          .mask = mask,
          .query_lengths = query_lengths,
          .kv_lengths = kv_lengths,
          .query_padding = query_padding_size,
          .kv_padding = kv_padding_size,
          .block_table = block_table,
          .key_scale = apart ? key_antiquant_scale : Half(antiquant_scale, 0),
          .key_offset = apart ? key_antiquant_offset : Half(antiquant_offset, 0),
          .value_scale = apart ? value_antiquant_scale : Half(antiquant_scale, 1),
          .value_offset = apart ? value_antiquant_offset : Half(antiquant_offset, 1),
          .key_scaling = apart ? key_antiquant_mode : antiquant_mode,
          .value_scaling = apart ? value_antiquant_mode : antiquant_mode,
          .key_prefix = key_shared_prefix,
          .value_prefix = value_shared_prefix,
          .prefix_length = actual_shared_prefix_len,
          .heads = heads,
          .kv_heads = kv_heads,
          .scale = scale,
          .pre_tokens = pre_tokens,
          .next_tokens = next_tokens,
          .layout = layout,
          .sparse_mode = sparse_mode,
          .block_size = block_size,
          .log_sum_exp = lse_flag ? lse : Tensor()};
}

// The parts of queries and keys that positions rotate, apart from the rest (MLA).
void SetRope(InferArguments& arguments, const OptTensor& query_rope, const OptTensor& key_rope,
             const OptTensor& key_rope_antiquant_scale) {
  RequireAbsent(key_rope_antiquant_scale, "keyRopeAntiquantScale");
  arguments.query_rope = query_rope;
  arguments.key_rope = key_rope;
}

}  // namespace

// What V4 and V5 take beyond V3.
#define INFER_ROPE_TENSORS                                                             \
  const OptTensor &query_rope, const OptTensor &key_rope,                              \
      const OptTensor &key_rope_antiquant_scale, const OptTensor &dequant_scale_query, \
      const OptTensor &learnable_sink
static Work PlanWithRope(InferArguments arguments, INFER_ROPE_TENSORS, int64_t query_quant_mode) {
  SetRope(arguments, query_rope, key_rope, key_rope_antiquant_scale);
  arguments.query_scale = dequant_scale_query;
  arguments.query_scaling = query_quant_mode;
  arguments.sink = learnable_sink;
  return PlanInference(std::move(arguments));
}

ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV2,
                 (INFER_TENSORS, INFER_ATTRIBUTES, Tensor& out, const Tensor& lse)) {
  return PlanInference(CollectInference(INFER_NAMES));
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV3,
                 (INFER_TENSORS, const OptTensor& query_rope, const OptTensor& key_rope,
                  const OptTensor& key_rope_antiquant_scale, INFER_ATTRIBUTES, Tensor& out,
                  const Tensor& lse)) {
  auto arguments = CollectInference(INFER_NAMES);
  SetRope(arguments, query_rope, key_rope, key_rope_antiquant_scale);
  return PlanInference(std::move(arguments));
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV4,
                 (INFER_TENSORS, INFER_ROPE_TENSORS, INFER_ATTRIBUTES, int64_t query_quant_mode,
                  Tensor& out, const Tensor& lse)) {
  return PlanWithRope(CollectInference(INFER_NAMES), query_rope, key_rope, key_rope_antiquant_scale,
                      dequant_scale_query, learnable_sink, query_quant_mode);
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV5,
                 (INFER_TENSORS, INFER_ROPE_TENSORS, const OptTensor& q_start_index,
                  const OptTensor& kv_start_index, INFER_ATTRIBUTES, int64_t query_quant_mode,
                  int64_t /*pse_type*/, Tensor& out, const Tensor& lse)) {
  RequireAbsent(q_start_index, "qStartIdx");
  RequireAbsent(kv_start_index, "kvStartIdx");
  return PlanWithRope(CollectInference(INFER_NAMES), query_rope, key_rope, key_rope_antiquant_scale,
                      dequant_scale_query, learnable_sink, query_quant_mode);
}

// How much workspace any lengths could need; the executor that comes with it is only ever
// destroyed.
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV3GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV3_op)
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV4GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV4_op)
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV5GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV5_op)

// One query per sequence.
ACLNN_PLANNED_OP(aclnnIncreFlashAttentionV4,
                 (const Tensor& query, const Tensors& key, const Tensors& value,
                  const OptTensor& pse_shift, const OptTensor& mask, const OptInts& kv_lengths,
                  const OptTensor& dequant_scale1, const OptTensor& quant_scale1,
                  const OptTensor& dequant_scale2, const OptTensor& quant_scale2,
                  const OptTensor& quant_offset2, const OptTensor& antiquant_scale,
                  const OptTensor& antiquant_offset, const OptTensor& block_table,
                  const OptTensor& kv_padding_size, int64_t heads, double scale,
                  const std::string& layout, int64_t kv_heads, int64_t block_size,
                  int64_t /*inner_precise*/, Tensor& out)) {
  RequireAbsent(pse_shift, "pseShift");
  RequireAbsent(dequant_scale1, "deqScale1");
  RequireAbsent(quant_scale1, "quantScale1");
  RequireAbsent(dequant_scale2, "deqScale2");
  RequireAbsent(quant_scale2, "quantScale2");
  RequireAbsent(quant_offset2, "quantOffset2");
  Require(layout == "BSH" || layout == "BSND" || layout == "BNSD", "inputLayout ", layout,
          " must be BSH, BSND or BNSD");
  Require(query.size(layout == "BNSD" ? 2 : 1) == 1, "query must have one token per sequence");
  return PlanInference({.query = query,
                        .key = OnlyOne(key, "key"),
                        .value = OnlyOne(value, "value"),
                        .out = out,
                        .mask = mask,
                        .kv_lengths = kv_lengths,
                        .kv_padding = kv_padding_size,
                        .block_table = block_table,
                        .key_scale = Half(antiquant_scale, 0),
                        .key_offset = Half(antiquant_offset, 0),
                        .value_scale = Half(antiquant_scale, 1),
                        .value_offset = Half(antiquant_offset, 1),
                        .heads = heads,
                        .kv_heads = kv_heads,
                        .scale = scale,
                        .layout = layout,
                        .block_size = block_size});
}

ACLNN_PLANNED_OP(aclnnPromptFlashAttentionV3,
                 (const Tensor& query, const Tensor& key, const Tensor& value,
                  const OptTensor& pse_shift, const OptTensor& mask, const OptInts& query_lengths,
                  const OptInts& kv_lengths, const OptTensor& dequant_scale1,
                  const OptTensor& quant_scale1, const OptTensor& dequant_scale2,
                  const OptTensor& quant_scale2, const OptTensor& quant_offset2, int64_t heads,
                  double scale, int64_t pre_tokens, int64_t next_tokens, const std::string& layout,
                  int64_t kv_heads, int64_t sparse_mode, int64_t /*inner_precise*/, Tensor& out)) {
  RequireAbsent(pse_shift, "pseShift");
  RequireAbsent(dequant_scale1, "deqScale1");
  RequireAbsent(quant_scale1, "quantScale1");
  RequireAbsent(dequant_scale2, "deqScale2");
  RequireAbsent(quant_scale2, "quantScale2");
  RequireAbsent(quant_offset2, "quantOffset2");
  return PlanInference({.query = query,
                        .key = key,
                        .value = value,
                        .out = out,
                        .mask = mask,
                        .query_lengths = query_lengths,
                        .kv_lengths = kv_lengths,
                        .heads = heads,
                        .kv_heads = kv_heads,
                        .scale = scale,
                        .pre_tokens = pre_tokens,
                        .next_tokens = next_tokens,
                        .layout = layout,
                        .sparse_mode = sparse_mode});
}

}  // namespace ascend_sim::opapi
