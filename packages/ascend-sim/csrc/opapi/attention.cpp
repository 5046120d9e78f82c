// SPDX-License-Identifier: Apache-2.0
//
// The fused attention operators: their many arguments become one AttentionCall, and what is not
// simulated is refused by name. Layouts, masks and lengths follow torch_npu's documentation of
// npu_fused_infer_attention_score and npu_fusion_attention.
#include <climits>

#include "attention_kernel.h"
#include "op.h"
#include "store.h"

namespace ascend_sim::opapi {
namespace {

constexpr int64_t kCompressedMask =
    2048;  // the side of the triangle that sparse modes 2, 3 and 4 take

[[noreturn]] void Refuse(const std::string& why) { throw ParamError(kParamInvalid, why); }

void RequireAbsent(const OptTensor& argument, const char* name) {
  Require(!argument.has_value(), std::string(name) + " is not supported by the simulator");
}

// --- layouts
// ---------------------------------------------------------------------------------------

// A tensor as rows of (batch, token, head); a packed one (TND) has one batch that holds all
// sequences.
struct Rows {
  RowStrides strides;
  int64_t batches = 1, tokens = 0, heads = 0, size = 0;
  bool packed = false;
};

Rows RowsIn(const std::string& layout, const Tensor& tensor, int64_t heads, const char* name) {
  const auto rank =
      layout == "BSH" || layout == "SBH" || layout == "TND" || layout == "NTD" || layout == "NSD"
          ? 3
          : 4;
  Require(tensor.dim() == rank, std::string(name) + " must have " + std::to_string(rank) +
                                    " dimensions in layout " + layout);
  Require(tensor.numel() == 0 || tensor.stride(-1) == 1,
          std::string(name) + " must be contiguous in its last dimension");
  const auto size = [&](int dim) { return tensor.size(dim); };
  const auto stride = [&](int dim) { return tensor.stride(dim); };
  const auto split = [&] {  // heads * size in one dimension
    Require(heads > 0 && tensor.size(2) % heads == 0,
            std::string(name) + ": the last dimension is not a multiple of the number of heads");
    return tensor.size(2) / heads;
  };
  if (layout == "BSH") return {{stride(0), stride(1), split()}, size(0), size(1), heads, split()};
  if (layout == "SBH") return {{stride(1), stride(0), split()}, size(1), size(0), heads, split()};
  if (layout == "BSND")
    return {{stride(0), stride(1), stride(2)}, size(0), size(1), size(2), size(3)};
  if (layout == "BNSD")
    return {{stride(0), stride(2), stride(1)}, size(0), size(2), size(1), size(3)};
  if (layout == "NBSD")
    return {{stride(1), stride(2), stride(0)}, size(1), size(2), size(0), size(3)};
  if (layout == "TND") return {{0, stride(0), stride(1)}, 1, size(0), size(1), size(2), true};
  if (layout == "NTD") return {{0, stride(1), stride(0)}, 1, size(1), size(0), size(2), true};
  Refuse("inputLayout " + layout + " is not supported");
}

// A paged cache: [blocks, block_size, heads * size], [blocks, heads, block_size, size], or, where
// it cannot be mistaken for that, [blocks, block_size, heads, size]. Strides are {block, token,
// head}.
Rows PagesIn(const Tensor& cache, int64_t heads, int64_t block_size, const char* name) {
  if (cache.dim() == 3 && cache.size(1) == block_size) return RowsIn("BSH", cache, heads, name);
  if (cache.dim() == 4 && cache.size(1) == heads && cache.size(2) == block_size) {
    return RowsIn("BNSD", cache, heads, name);
  }
  if (cache.dim() == 4 && cache.size(1) == block_size && cache.size(2) == heads) {
    return RowsIn("BSND", cache, heads, name);
  }
  std::ostringstream why;
  why << name << " has shape " << cache.sizes() << "; a paged cache is [blocks, " << block_size
      << ", " << heads << " * size] or [blocks, " << heads << ", " << block_size << ", size]";
  Refuse(why.str());
}

// --- bands
// -----------------------------------------------------------------------------------------

bool IsUnlimited(int64_t tokens) { return tokens >= INT_MAX; }

// Sets call.band and, for the modes that read it, call.mask.
void SetSparsity(AttentionCall& call, int64_t sparse_mode, const OptTensor& mask,
                 int64_t pre_tokens, int64_t next_tokens) {
  const bool compressed = sparse_mode >= 2 && sparse_mode <= 4;
  if (compressed) {
    Require(mask.has_value() && mask->dim() >= 2 && mask->size(-1) == kCompressedMask &&
                mask->size(-2) == kCompressedMask,
            "attenMask must be the (2048, 2048) triangle for sparseMode 2, 3 and 4");
  }
  switch (sparse_mode) {
    case 0:
      if (!mask.has_value()) return;  // preTokens and nextTokens are ignored too
      call.mask = *mask;
      if (!IsUnlimited(pre_tokens)) call.band.before = pre_tokens;
      if (!IsUnlimited(next_tokens)) call.band.after = next_tokens;
      return;
    case 1:
      Require(mask.has_value(), "attenMask must be given for sparseMode 1");
      call.mask = *mask;
      return;
    case 2:
      call.band = {.before = -1, .after = 0, .align_end = false};
      return;
    case 3:
      call.band = {.before = -1, .after = 0, .align_end = true};
      return;
    case 4:
      Require(pre_tokens >= 0 && next_tokens >= 0,
              "negative preTokens and nextTokens are not supported with sparseMode 4");
      call.band = {.before = IsUnlimited(pre_tokens) ? -1 : pre_tokens,
                   .after = IsUnlimited(next_tokens) ? -1 : next_tokens,
                   .align_end = true};
      return;
    default:
      Refuse("sparseMode " + std::to_string(sparse_mode) + " is not supported: 0 to 4 are");
  }
}

// --- lengths
// ---------------------------------------------------------------------------------------

// The length of sequence `index`: one for all, one each, or the whole of the tensor.
int64_t LengthOf(const OptInts& lengths, int64_t index, int64_t whole, const char* name) {
  if (!lengths.has_value() || lengths->empty()) return whole;
  Require(lengths->size() == 1 || index < static_cast<int64_t>(lengths->size()),
          std::string(name) + " has fewer elements than there are sequences");
  const auto length = (*lengths)[lengths->size() == 1 ? 0 : index];
  Require(length >= 0, std::string(name) + " has a negative element");
  return length;
}

// Where sequence `index` begins in a packed tensor, from cumulative lengths.
int64_t PackedBegin(const Ints& ends, int64_t index) { return index == 0 ? 0 : ends[index - 1]; }

void CheckPackedEnds(const OptInts& ends, int64_t tokens, const char* name) {
  Require(ends.has_value() && !ends->empty(),
          std::string(name) + " must be given in a packed layout");
  int64_t previous = 0;
  for (const auto end : *ends) {
    Require(end >= previous && end <= tokens,
            std::string(name) + " must rise and stay within " + std::to_string(tokens) + " tokens");
    previous = end;
  }
}

// --- aclnnFusedInferAttentionScore
// -----------------------------------------------------------------

struct InferArguments {
  Tensor query;
  Tensors key, value;
  OptTensor mask;
  OptInts query_lengths, kv_lengths;
  OptTensor block_table;
  int64_t heads, kv_heads;
  double scale;
  int64_t pre_tokens, next_tokens;
  std::string layout;
  int64_t sparse_mode, block_size;
  Tensor out;
  Tensor log_sum_exp;  // undefined: not wanted
};

void AddSequences(AttentionCall& call, const InferArguments& a, const Rows& q, const Rows& kv) {
  const bool paged = call.block_table.defined();
  if (q.packed) CheckPackedEnds(a.query_lengths, q.tokens, "actualSeqLengths");
  if (!paged && q.packed) CheckPackedEnds(a.kv_lengths, kv.tokens, "actualSeqLengthsKv");
  if (paged) {
    Require(a.kv_lengths.has_value() && !a.kv_lengths->empty(),
            "actualSeqLengthsKv must be given with a block table");
  }
  const auto count = q.packed ? static_cast<int64_t>(a.query_lengths->size()) : q.batches;
  if (paged) {
    Require(call.block_table.size(0) >= count,
            "blockTable has fewer rows than there are sequences");
  }
  call.sequences.reserve(count);
  for (int64_t i = 0; i < count; ++i) {
    AttentionSequence sequence;
    sequence.batch = i;
    if (q.packed) {
      sequence.query_begin = PackedBegin(*a.query_lengths, i);
      sequence.query_length = (*a.query_lengths)[i] - sequence.query_begin;
    } else if (q.tokens == 1) {
      sequence.query_length = 1;  // incremental inference: actualSeqLengths is not looked at
    } else {
      sequence.query_length = LengthOf(a.query_lengths, i, q.tokens, "actualSeqLengths");
      Require(sequence.query_length <= q.tokens,
              "actualSeqLengths has an element above query's length");
    }
    if (paged) {
      sequence.kv_length = LengthOf(a.kv_lengths, i, 0, "actualSeqLengthsKv");
      Require(sequence.kv_length <= call.block_table.size(1) * call.block_size,
              "actualSeqLengthsKv has an element above what blockTable covers");
    } else if (q.packed) {
      sequence.kv_begin = PackedBegin(*a.kv_lengths, i);
      sequence.kv_length = (*a.kv_lengths)[i] - sequence.kv_begin;
    } else {
      sequence.kv_length = LengthOf(a.kv_lengths, i, kv.tokens, "actualSeqLengthsKv");
      Require(sequence.kv_length <= kv.tokens,
              "actualSeqLengthsKv has an element above key's length");
    }
    call.sequences.push_back(sequence);
  }
}

// Tokens of `out` that no sequence covers hold 0 afterwards, so that a result never depends on old
// memory.
bool CoversOutput(const AttentionCall& call, const Rows& q) {
  int64_t covered = 0;
  for (const auto& sequence : call.sequences) covered += sequence.query_length;
  return covered == q.batches * q.tokens;
}

Work PlanInference(InferArguments a) {
  Require(a.key.size() == 1 && a.value.size() == 1,
          "key and value must be lists of one tensor (a list per sequence is not supported)");
  const auto& key = a.key[0];
  const auto& value = a.value[0];
  Require(
      key.scalar_type() == a.query.scalar_type() && value.scalar_type() == a.query.scalar_type(),
      "key and value must have query's dtype (quantised caches are not supported)");
  Require(at::isFloatingType(a.query.scalar_type()), "query must be a floating-point tensor");
  Require(a.out.scalar_type() == a.query.scalar_type(), "attentionOut must have query's dtype");
  Require(a.heads > 0, "numHeads must be positive");
  if (a.kv_heads == 0) a.kv_heads = a.heads;
  Require(a.heads % a.kv_heads == 0, "numHeads must be a multiple of numKeyValueHeads");

  // "BSH" reads and writes that layout; "BNSD_BSND" reads the first and writes the second.
  const auto bar = a.layout.find('_');
  const auto in_layout = a.layout.substr(0, bar);
  const auto out_layout = bar == std::string::npos ? in_layout : a.layout.substr(bar + 1);
  const auto q = RowsIn(in_layout, a.query, a.heads, "query");
  const auto out = RowsIn(out_layout, a.out, a.heads, "attentionOut");

  AttentionCall call;
  const bool paged = a.block_table.has_value();
  if (paged) {
    Require(a.block_size > 0, "blockSize must be positive with a block table");
    Require(a.block_table->dim() == 2 && a.block_table->scalar_type() == at::kInt &&
                (a.block_table->numel() == 0 || a.block_table->stride(1) == 1),
            "blockTable must be a [batch, blocks] int32 tensor");
    call.block_table = *a.block_table;
    call.block_size = a.block_size;
  }
  const auto rows_of = [&](const Tensor& tensor, const char* name) {
    return paged ? PagesIn(tensor, a.kv_heads, a.block_size, name)
                 : RowsIn(in_layout, tensor, a.kv_heads, name);
  };
  const auto k = rows_of(key, "key"), v = rows_of(value, "value");
  Require(q.heads == a.heads, "query's number of heads is not numHeads");
  Require(k.heads == a.kv_heads && v.heads == a.kv_heads,
          "key's number of heads is not numKeyValueHeads");
  Require(k.size == q.size, "key's head size differs from query's");
  Require(out.heads == a.heads && out.size == v.size && out.tokens == q.tokens &&
              out.batches == q.batches,
          "attentionOut has the wrong shape");

  call.q = a.query;
  call.k = key;
  call.v = value;
  call.out = a.out;
  call.q_strides = q.strides;
  call.k_strides = k.strides;
  call.v_strides = v.strides;
  call.out_strides = out.strides;
  call.heads = a.heads;
  call.kv_heads = a.kv_heads;
  call.key_size = q.size;
  call.value_size = v.size;
  call.scale = a.scale;
  // One query per sequence sees all keys that its mask shows, whatever the sparse mode.
  const bool single = !q.packed && q.tokens == 1;
  SetSparsity(call, single ? 0 : a.sparse_mode,
              single && a.sparse_mode >= 2 ? std::nullopt : a.mask, single ? INT_MAX : a.pre_tokens,
              single ? INT_MAX : a.next_tokens);
  if (single && call.mask.defined() && call.mask.dim() == 2)
    call.mask = call.mask.unsqueeze(1);  // [B, KV_S]
  if (q.packed) {
    Require(!call.mask.defined() || call.mask.dim() == 2,
            "attenMask must have 2 dimensions in a packed layout");
  }
  AddSequences(call, a, q, k);
  if (q.packed) {
    // The kernel strides by batch through block_table, not through q, out or dense k and v.
    call.q_strides.batch = call.out_strides.batch = 0;
  }

  if (a.log_sum_exp.defined()) {
    Require(a.log_sum_exp.scalar_type() == at::kFloat && a.log_sum_exp.is_contiguous() &&
                a.log_sum_exp.numel() == q.batches * q.tokens * a.heads,
            "softmaxLse must be a contiguous float tensor of one element per query and head");
    call.log_sum_exp = a.log_sum_exp;
    // [T, N, 1] or [B, N, S, 1]
    call.log_sum_exp_strides =
        q.packed ? RowStrides{0, a.heads, 1} : RowStrides{a.heads * q.tokens, 1, q.tokens};
  }
  const bool zero_first = !CoversOutput(call, q);
  return [call = std::move(call), zero_first] {
    if (zero_first) const_cast<Tensor&>(call.out).zero_();
    Attend(call);
  };
}

// --- aclnnFlashAttentionScore
// ----------------------------------------------------------------------

// The operator of npu_fusion_attention and scaled_dot_product_attention; forward only needs no
// dropout mask.
struct ScoreArguments {
  Tensor query, key, value;
  OptTensor mask;
  OptInts query_ends, kv_ends;  // cumulative lengths, for the packed layout only
  double scale, keep_probability;
  int64_t pre_tokens, next_tokens, heads;
  std::string layout;
  int64_t sparse_mode;
  Tensor row_max, row_sum;  // [..., 8]: every statistic eight times, or empty
  Tensor out;
};

Work PlanScore(const ScoreArguments& a) {
  Require(a.keep_probability == 1.0, "keepProb must be 1: dropout is not supported");
  Require(a.key.scalar_type() == a.query.scalar_type() &&
              a.value.scalar_type() == a.query.scalar_type() &&
              a.out.scalar_type() == a.query.scalar_type(),
          "query, key, value and attentionOut must have one dtype");
  const auto q = RowsIn(a.layout, a.query, a.heads, "query");
  const auto kv_heads =
      a.layout == "BSH" || a.layout == "SBH" ? a.key.size(2) / std::max<int64_t>(1, q.size) : 0;
  const auto k = RowsIn(a.layout, a.key, kv_heads, "key");
  const auto v = RowsIn(a.layout, a.value, kv_heads, "value");
  const auto out = RowsIn(a.layout, a.out, a.heads, "attentionOut");
  Require(q.heads == a.heads && k.heads > 0 && q.heads % k.heads == 0 && k.heads == v.heads,
          "the number of query heads must be headNum and a multiple of key's");
  Require(k.size == q.size && k.tokens == v.tokens && k.batches == q.batches,
          "key has the wrong shape");

  AttentionCall call;
  call.q = a.query;
  call.k = a.key;
  call.v = a.value;
  call.out = a.out;
  call.q_strides = q.strides;
  call.k_strides = k.strides;
  call.v_strides = v.strides;
  call.out_strides = out.strides;
  call.heads = a.heads;
  call.kv_heads = k.heads;
  call.key_size = q.size;
  call.value_size = v.size;
  call.scale = a.scale;
  SetSparsity(call, a.sparse_mode, a.mask, a.pre_tokens, a.next_tokens);
  if (q.packed) {
    CheckPackedEnds(a.query_ends, q.tokens, "actualSeqQLen");
    CheckPackedEnds(a.kv_ends, k.tokens, "actualSeqKvLen");
    Require(a.query_ends->size() == a.kv_ends->size(),
            "actualSeqKvLen must be as long as actualSeqQLen");
    Require(!call.mask.defined() || call.mask.dim() == 2,
            "attenMask must have 2 dimensions in layout TND");
    for (size_t i = 0; i < a.query_ends->size(); ++i) {
      const auto query = PackedBegin(*a.query_ends, i), kv = PackedBegin(*a.kv_ends, i);
      call.sequences.push_back(
          {static_cast<int64_t>(i), query, (*a.query_ends)[i] - query, kv, (*a.kv_ends)[i] - kv});
    }
  } else {
    for (int64_t i = 0; i < q.batches; ++i) call.sequences.push_back({i, 0, q.tokens, 0, k.tokens});
  }
  const bool statistics = a.row_max.numel() > 0 && a.row_sum.numel() > 0;
  // [T, N] or [B, N, S], then repeated eight times.
  call.log_sum_exp_strides =
      q.packed ? RowStrides{0, a.heads, 1} : RowStrides{a.heads * q.tokens, 1, q.tokens};
  return [call = std::move(call), statistics, row_max = a.row_max, row_sum = a.row_sum]() mutable {
    if (!statistics) {
      Attend(call);
      return;
    }
    // The backward pass needs exp(score - max) / sum, for which the log-sum-exp and 1 serve as
    // well.
    auto with_statistics = call;
    with_statistics.log_sum_exp =
        at::zeros(row_max.sizes().slice(0, row_max.dim() - 1), at::kFloat);
    Attend(with_statistics);
    row_max.copy_(with_statistics.log_sum_exp.unsqueeze(-1).expand(row_max.sizes()));
    row_sum.fill_(1);
  };
}

}  // namespace

// The arguments that all versions share, in order: before and after those that later versions
// inserted.
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
      const OptInts & /*actual_shared_prefix_len*/
#define INFER_ATTRIBUTES                                                                           \
  int64_t heads, double scale, int64_t pre_tokens, int64_t next_tokens, const std::string &layout, \
      int64_t kv_heads, int64_t sparse_mode, int64_t /*inner_precise*/, int64_t block_size,        \
      int64_t /*antiquant_mode*/, bool lse_flag, int64_t /*key_antiquant_mode*/,                   \
      int64_t /*value_antiquant_mode*/
// Refuses what is not simulated and plans the rest. `lse` may be a dummy unless lse_flag says that
// it is wanted.
#define PLAN_INFERENCE()                                                                           \
  RequireAbsent(pse_shift, "pseShift");                                                            \
  RequireAbsent(dequant_scale1, "deqScale1");                                                      \
  RequireAbsent(quant_scale1, "quantScale1");                                                      \
  RequireAbsent(dequant_scale2, "deqScale2");                                                      \
  RequireAbsent(quant_scale2, "quantScale2");                                                      \
  RequireAbsent(quant_offset2, "quantOffset2");                                                    \
  RequireAbsent(antiquant_scale, "antiquantScale");                                                \
  RequireAbsent(antiquant_offset, "antiquantOffset");                                              \
  RequireAbsent(query_padding_size, "queryPaddingSize");                                           \
  RequireAbsent(kv_padding_size, "kvPaddingSize");                                                 \
  RequireAbsent(key_antiquant_scale, "keyAntiquantScale");                                         \
  RequireAbsent(key_antiquant_offset, "keyAntiquantOffset");                                       \
  RequireAbsent(value_antiquant_scale, "valueAntiquantScale");                                     \
  RequireAbsent(value_antiquant_offset, "valueAntiquantOffset");                                   \
  RequireAbsent(key_shared_prefix, "keySharedPrefix");                                             \
  RequireAbsent(value_shared_prefix, "valueSharedPrefix");                                         \
  return PlanInference({query, key, value, mask, query_lengths, kv_lengths, block_table, heads,    \
                        kv_heads, scale, pre_tokens, next_tokens, layout, sparse_mode, block_size, \
                        out, lse_flag ? lse : Tensor()})

ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV2,
                 (INFER_TENSORS, INFER_ATTRIBUTES, Tensor& out, const Tensor& lse)) {
  PLAN_INFERENCE();
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV3,
                 (INFER_TENSORS, const OptTensor& query_rope, const OptTensor& key_rope,
                  const OptTensor& key_rope_antiquant_scale, INFER_ATTRIBUTES, Tensor& out,
                  const Tensor& lse)) {
  RequireAbsent(query_rope, "queryRope");
  RequireAbsent(key_rope, "keyRope");
  RequireAbsent(key_rope_antiquant_scale, "keyRopeAntiquantScale");
  PLAN_INFERENCE();
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV4,
                 (INFER_TENSORS, const OptTensor& query_rope, const OptTensor& key_rope,
                  const OptTensor& key_rope_antiquant_scale, const OptTensor& dequant_scale_query,
                  const OptTensor& learnable_sink, INFER_ATTRIBUTES, int64_t /*query_quant_mode*/,
                  Tensor& out, const Tensor& lse)) {
  RequireAbsent(query_rope, "queryRope");
  RequireAbsent(key_rope, "keyRope");
  RequireAbsent(key_rope_antiquant_scale, "keyRopeAntiquantScale");
  RequireAbsent(dequant_scale_query, "dequantScaleQuery");
  RequireAbsent(learnable_sink, "learnableSink");
  PLAN_INFERENCE();
}
ACLNN_PLANNED_OP(aclnnFusedInferAttentionScoreV5,
                 (INFER_TENSORS, const OptTensor& query_rope, const OptTensor& key_rope,
                  const OptTensor& key_rope_antiquant_scale, const OptTensor& dequant_scale_query,
                  const OptTensor& learnable_sink, const OptTensor& q_start_index,
                  const OptTensor& kv_start_index, INFER_ATTRIBUTES, int64_t /*query_quant_mode*/,
                  int64_t /*pse_type*/, Tensor& out, const Tensor& lse)) {
  RequireAbsent(query_rope, "queryRope");
  RequireAbsent(key_rope, "keyRope");
  RequireAbsent(key_rope_antiquant_scale, "keyRopeAntiquantScale");
  RequireAbsent(dequant_scale_query, "dequantScaleQuery");
  RequireAbsent(learnable_sink, "learnableSink");
  RequireAbsent(q_start_index, "qStartIdx");
  RequireAbsent(kv_start_index, "kvStartIdx");
  PLAN_INFERENCE();
}

// How much workspace any lengths could need; the executor that comes with it is only ever
// destroyed.
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV3GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV3_op)
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV4GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV4_op)
ACLNN_BIND_PREPARE(aclnnFusedInferAttentionScoreV5GetMaxWorkspaceSize,
                   aclnnFusedInferAttentionScoreV5_op)

ACLNN_PLANNED_OP(aclnnFlashAttentionScore,
                 (const Tensor& query, const Tensor& key, const Tensor& value, const OptTensor& pse,
                  const OptTensor& drop_mask, const OptTensor& padding_mask, const OptTensor& mask,
                  const OptInts& /*prefix*/, double scale, double keep_probability,
                  int64_t pre_tokens, int64_t next_tokens, int64_t heads, const std::string& layout,
                  int64_t /*inner_precise*/, int64_t sparse_mode, Tensor& softmax_max,
                  Tensor& softmax_sum, const OptTensor& /*softmax_out: reserved*/, Tensor& out)) {
  RequireAbsent(pse, "realShift");
  RequireAbsent(drop_mask, "dropMask");
  RequireAbsent(padding_mask, "paddingMask");
  return PlanScore({query,
                    key,
                    value,
                    mask,
                    {},
                    {},
                    scale,
                    keep_probability,
                    pre_tokens,
                    next_tokens,
                    heads,
                    layout,
                    sparse_mode,
                    softmax_max,
                    softmax_sum,
                    out});
}
ACLNN_PLANNED_OP(aclnnFlashAttentionVarLenScore,
                 (const Tensor& query, const Tensor& key, const Tensor& value, const OptTensor& pse,
                  const OptTensor& drop_mask, const OptTensor& padding_mask, const OptTensor& mask,
                  const OptInts& /*prefix*/, const OptInts& query_ends, const OptInts& kv_ends,
                  double scale, double keep_probability, int64_t pre_tokens, int64_t next_tokens,
                  int64_t heads, const std::string& layout, int64_t /*inner_precise*/,
                  int64_t sparse_mode, Tensor& softmax_max, Tensor& softmax_sum,
                  const OptTensor& /*softmax_out: reserved*/, Tensor& out)) {
  RequireAbsent(pse, "realShift");
  RequireAbsent(drop_mask, "dropMask");
  RequireAbsent(padding_mask, "paddingMask");
  return PlanScore({query, key, value, mask, query_ends, kv_ends, scale, keep_probability,
                    pre_tokens, next_tokens, heads, layout, sparse_mode, softmax_max, softmax_sum,
                    out});
}

}  // namespace ascend_sim::opapi
