// SPDX-License-Identifier: Apache-2.0
//
// Layouts, masks and lengths follow torch_npu's documentation of npu_fused_infer_attention_score
// and its second version.
#include "infer_attention.h"

#include <climits>

#include "attention_call.h"
#include "attention_layout.h"
#include "attention_limits.h"

namespace ascend_sim::opapi {
namespace {

Scaling ScalingOf(int64_t mode, const char* name) {
  Require(mode >= 0 && mode <= 3, name, " ", mode,
          " is not supported by the simulator: 0 to 3 are (scales in pages are not)");
  return static_cast<Scaling>(mode);
}

// Adds the sequences of the call; their kv_length includes the prefix.
void AddSequences(AttentionCall& call, const InferArguments& a, const KeyValues& keys,
                  bool packed) {
  const bool paged = keys.block_table.defined();
  const auto q_tokens = call.q.size(1), kv_tokens = keys.rows.size(1);
  if (packed) CheckPackedEnds(a.query_lengths, q_tokens, "actualSeqLengths");
  if (!paged && packed) CheckPackedEnds(a.kv_lengths, kv_tokens, "actualSeqLengthsKv");
  if (paged) {
    Require(a.kv_lengths.has_value() && !a.kv_lengths->empty(),
            "actualSeqLengthsKv must be given with a block table");
    Require(keys.block_table.size(0) >= keys.sequences,
            "blockTable has fewer rows than there are sequences");
  }
  call.sequences.reserve(keys.sequences);
  for (int64_t i = 0; i < keys.sequences; ++i) {
    AttentionSequence sequence;
    sequence.batch = i;
    if (packed) {
      sequence.query_begin = PackedBegin(*a.query_lengths, i);
      sequence.query_length = (*a.query_lengths)[i] - sequence.query_begin;
    } else if (q_tokens == 1) {
      sequence.query_length = 1;  // incremental inference: actualSeqLengths is not looked at
    } else {
      sequence.query_length = LengthOf(a.query_lengths, i, q_tokens, "actualSeqLengths");
      Require(sequence.query_length <= q_tokens,
              "actualSeqLengths has an element above query's length");
    }
    if (paged) {
      sequence.kv_length = LengthOf(a.kv_lengths, i, 0, "actualSeqLengthsKv");
      Require(sequence.kv_length <= keys.block_table.size(1) * keys.block_size,
              "actualSeqLengthsKv has an element above what blockTable covers");
    } else if (packed) {
      sequence.kv_begin = PackedBegin(*a.kv_lengths, i);
      sequence.kv_length = (*a.kv_lengths)[i] - sequence.kv_begin;
    } else {
      sequence.kv_length = LengthOf(a.kv_lengths, i, kv_tokens, "actualSeqLengthsKv");
      Require(sequence.kv_length <= kv_tokens,
              "actualSeqLengthsKv has an element above key's length");
    }
    sequence.kv_length += keys.prefix_length();
    call.sequences.push_back(sequence);
  }
}

// Tokens of `out` that no sequence covers hold 0 afterwards, so that a result never depends on old
// memory.
bool CoversOutput(const AttentionCall& call) {
  int64_t covered = 0;
  for (const auto& sequence : call.sequences) covered += sequence.query_length;
  return covered == call.q.size(0) * call.q.size(1);
}

// Left padding: sequences end `padding` tokens before the end of their rows. One whose keys would
// begin before the first row sees none.
void ShiftQueries(AttentionCall& call, const Tensor& padding) {
  const auto end = call.q.size(1) - padding.item().toLong();
  for (auto& sequence : call.sequences) {
    sequence.query_begin = end - sequence.query_length;
    TORCH_CHECK(sequence.query_begin >= 0 && end <= call.q.size(1), "queryPaddingSize ",
                padding.item().toLong(), " leaves no room for sequence ", sequence.batch);
  }
}
void ShiftKeys(AttentionCall& call, const Tensor& padding, int64_t kv_tokens) {
  const auto end = kv_tokens - std::max<int64_t>(padding.item().toLong(), 0);
  for (auto& sequence : call.sequences) {
    sequence.kv_begin = end - sequence.kv_length;
    if (sequence.kv_begin < 0) sequence.kv_begin = sequence.kv_length = 0;
  }
}

// Where keys or values are, from the arguments; `pages` is set if there are any.
KeyValues StoredIn(const InferArguments& a, const Tensor& tensor, const std::string& layout,
                   const char* name, std::optional<PageLayout>& pages) {
  KeyValues stored;
  if (!a.block_table.has_value()) {
    stored.rows = RowsIn(layout, tensor, a.kv_heads, name);
    return stored;
  }
  const auto& table = *a.block_table;
  Require(a.block_size > 0, "blockSize must be positive with a block table");
  Require(table.dim() == 2 && table.scalar_type() == at::kInt &&
              (table.numel() == 0 || table.stride(1) == 1),
          "blockTable must be a [batch, blocks] int32 tensor");
  const auto found = PagesIn(tensor, a.kv_heads, a.block_size, name);
  pages = found.layout;
  stored.rows = found.rows;
  stored.block_table = table;
  stored.block_size = a.block_size;
  return stored;
}

void SetScale(KeyValues& stored, const OptTensor& scale, const OptTensor& offset, int64_t mode,
              at::ScalarType query_type, const char* name, const char* mode_name) {
  if (stored.rows.scalar_type() == query_type) {
    Require(!scale, name, " has a scale but query's dtype");
    return;
  }
  Require(stored.rows.scalar_type() == at::kChar && scale.has_value(), name,
          " must have query's dtype, or be int8 with a scale");
  stored.scale = scale;
  stored.offset = offset;
  stored.scaling = ScalingOf(mode, mode_name);
}

void SetPrefix(KeyValues& stored, const OptTensor& prefix, const OptInts& length,
               const std::string& layout, int64_t kv_heads, const char* name) {
  if (!prefix) return;
  Require(!stored.block_table.defined(), name, " cannot be given with a block table");
  Require(!IsPacked(layout), name, " is not supported in layout ", layout);
  const auto rows = RowsIn(layout, *prefix, kv_heads, name);
  Require(rows.size(0) == 1 && rows.size(2) == stored.heads() && rows.size(3) == stored.size() &&
              rows.scalar_type() == stored.rows.scalar_type() && !stored.scale,
          name, " must be one batch of key's heads, size and dtype");
  stored.prefix = rows.slice(1, 0, LengthOf(length, 0, rows.size(1), "actualSharedPrefixLen"));
}

}  // namespace

Work PlanInference(InferArguments a) {
  Require(at::isFloatingType(a.query.scalar_type()), "query must be a floating-point tensor");
  Require(a.out.scalar_type() == a.query.scalar_type(),
          "attentionOut must have query's dtype (quantised results are not supported)");
  Require(a.heads > 0, "numHeads must be positive");
  if (a.kv_heads == 0) a.kv_heads = a.heads;
  Require(a.heads % a.kv_heads == 0, "numHeads must be a multiple of numKeyValueHeads");
  Require(a.query_rope.has_value() == a.key_rope.has_value(),
          "queryRope and keyRope must be given together");
  Require(a.key_prefix.has_value() == a.value_prefix.has_value(),
          "keySharedPrefix and valueSharedPrefix must be given together");

  const auto layouts = LayoutsOf(a.layout);
  const bool packed = IsPacked(layouts.in);
  const auto q = RowsIn(layouts.in, a.query, a.heads, "query");
  const auto out = RowsIn(layouts.out, a.out, a.heads, "attentionOut");
  std::optional<PageLayout> pages;
  auto keys = StoredIn(a, a.key, layouts.in, "key", pages);
  auto values = StoredIn(a, a.value, layouts.in, "value", pages);
  Require(q.size(2) == a.heads, "query's number of heads is not numHeads");
  Require(keys.heads() == a.kv_heads && values.heads() == a.kv_heads,
          "key's number of heads is not numKeyValueHeads");
  Require(keys.size() == q.size(3), "key's head size differs from query's");
  Require(out.size(2) == a.heads && out.size(3) == values.size() && out.size(1) == q.size(1) &&
              out.size(0) == q.size(0),
          "attentionOut has the wrong shape");
  keys.sequences = values.sequences =
      packed && a.query_lengths ? static_cast<int64_t>(a.query_lengths->size()) : q.size(0);
  SetScale(keys, a.key_scale, a.key_offset, a.key_scaling, q.scalar_type(), "key",
           "keyAntiquantMode");
  SetScale(values, a.value_scale, a.value_offset, a.value_scaling, q.scalar_type(), "value",
           "valueAntiquantMode");
  SetPrefix(keys, a.key_prefix, a.prefix_length, layouts.in, a.kv_heads, "keySharedPrefix");
  SetPrefix(values, a.value_prefix, a.prefix_length, layouts.in, a.kv_heads, "valueSharedPrefix");

  Tensor q_rope;
  if (a.query_rope) {
    q_rope = RowsIn(layouts.in, *a.query_rope, a.heads, "queryRope");
    keys.rope = StoredIn(a, *a.key_rope, layouts.in, "keyRope", pages).rows;
    Require(q_rope.sizes().slice(0, 3) == q.sizes().slice(0, 3) &&
                q_rope.scalar_type() == q.scalar_type() &&
                keys.size() == q.size(3) + q_rope.size(3) &&
                keys.rope.sizes().slice(0, 3) == keys.rows.sizes().slice(0, 3) &&
                keys.rope.scalar_type() == keys.rows.scalar_type(),
            "queryRope and keyRope must have the shapes and dtypes of query and key but for one "
            "size");
    Require(!keys.scale, "keyRope is not supported with an int8 cache");
  }
  CheckLimits(a, {q, keys, values, pages, packed});

  AttentionCall call;
  SetQueries(call, q, out);
  SetKeys(call, keys.rows, values.rows);
  if (q_rope.defined()) call.key_size += q_rope.size(3);
  if (keys.block_table.defined()) {
    call.block_table = keys.block_table;
    call.block_size = keys.block_size;
  }
  call.scale = a.scale;
  // One query per sequence sees all keys that its mask shows, whatever the sparse mode.
  const bool single = !packed && q.size(1) == 1 && !q_rope.defined();
  SetSparsity(call, single ? 0 : a.sparse_mode,
              single && a.sparse_mode >= 2 ? std::nullopt : a.mask, single ? INT_MAX : a.pre_tokens,
              single ? INT_MAX : a.next_tokens);
  if (single && call.mask.defined() && call.mask.dim() == 2) {
    call.mask = call.mask.unsqueeze(1);  // [B, KV_S]
  }
  if (packed) {
    Require(!call.mask.defined() || call.mask.dim() == 2,
            "attenMask must have 2 dimensions in a packed layout");
  }
  AddSequences(call, a, keys, packed);

  const auto type = q.scalar_type();
  if (!keys.IsPlain() || !values.IsPlain()) {
    call.gather = [keys, values, type](const AttentionSequence& sequence) {
      return std::pair(keys.Gather(sequence, type), values.Gather(sequence, type));
    };
  }
  if (a.sink) {
    Require(a.sink->numel() == a.heads, "learnableSink must have one element per head");
    Require(!a.log_sum_exp.defined(),
            "softmaxLse together with learnableSink is not supported: whether it includes the sink "
            "is not documented");
  }
  if (a.log_sum_exp.defined()) {
    Require(a.log_sum_exp.scalar_type() == at::kFloat && a.log_sum_exp.is_contiguous() &&
                a.log_sum_exp.numel() == q.size(0) * q.size(1) * a.heads,
            "softmaxLse must be a contiguous float tensor of one element per query and head");
    call.log_sum_exp = a.log_sum_exp;
    // [T, N, 1] or [B, N, S, 1]
    call.log_sum_exp_strides =
        packed ? RowStrides{0, a.heads, 1} : RowStrides{a.heads * q.size(1), 1, q.size(1)};
  }
  const bool left_queries = a.query_padding && a.query_lengths && q.size(1) > 1;
  const bool left_keys = a.kv_padding && a.kv_lengths;
  Require(!packed || (!left_queries && !left_keys),
          "queryPaddingSize and kvPaddingSize are not supported in layout ", layouts.in);
  Require(!left_keys || (!keys.block_table.defined() && !keys.prefix.defined()),
          "kvPaddingSize cannot be given with a block table or a shared prefix");
  const bool zero_first = !CoversOutput(call);
  return [=, a = std::move(a)] {
    if (zero_first) const_cast<Tensor&>(call.out).zero_();
    if (!q_rope.defined() && !a.sink && !left_queries && !left_keys) {
      Attend(call);
      return;
    }
    auto now = call;  // what depends on device memory is made anew in every run
    if (q_rope.defined()) {
      now.q = at::cat({call.q, q_rope}, -1).contiguous();
      now.q_strides = StridesOf(now.q);
    }
    if (a.sink) now.sink = a.sink->reshape({-1}).to(at::kFloat).contiguous();
    if (left_queries) ShiftQueries(now, *a.query_padding);
    if (left_keys) ShiftKeys(now, *a.kv_padding, keys.rows.size(1));
    Attend(now);
  };
}

}  // namespace ascend_sim::opapi
