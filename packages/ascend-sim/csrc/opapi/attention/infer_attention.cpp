// SPDX-License-Identifier: Apache-2.0
//
// Layouts, masks and lengths follow torch_npu's documentation of npu_fused_infer_attention_score
// and its second version.
#include "opapi/attention/infer_attention.h"

#include "opapi/attention/call.h"
#include "opapi/attention/layout.h"
#include "opapi/attention/limits.h"

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

// FIA2: query, key and value in int8 (of MLA's absorbed form only).
void CheckQuantized(const InferArguments& a) {
  Require(a.query_scale.has_value(), "an int8 query needs dequantScaleQuery");
  Require(a.query_scaling == 3, "queryQuantMode must be 3, a scale per token and head, got ",
          a.query_scaling);
  Require(a.key.scalar_type() == at::kChar && a.value.scalar_type() == at::kChar,
          "key and value must be int8 as query is");
  Require(a.query_rope.has_value(), "an int8 query needs queryRope and keyRope");
  Require(a.key_scaling == 0 && a.value_scaling == 0 && a.key_scale && a.value_scale &&
              a.key_scale->numel() == 1 && a.value_scale->numel() == 1,
          "key and value must have one scale each (mode 0) with an int8 query");
  Require(!a.key_offset && !a.value_offset, "an int8 query takes no offsets of key and value");
  Require(at::isFloatingType(a.out.scalar_type()), "attentionOut must be a floating-point tensor");
}

void CheckArguments(const InferArguments& a) {
  if (a.IsQuantized()) {
    CheckQuantized(a);
  } else {
    Require(at::isFloatingType(a.query.scalar_type()),
            "query must be a floating-point tensor, or int8");
    Require(!a.query_scale, "dequantScaleQuery needs an int8 query");
    Require(a.out.scalar_type() == a.query.scalar_type(),
            "attentionOut must have query's dtype (quantized results are not supported)");
  }
  Require(a.heads > 0 && a.kv_heads > 0, "numHeads must be positive");
  Require(a.heads % a.kv_heads == 0, "numHeads must be a multiple of numKeyValueHeads");
  Require(a.query_rope.has_value() == a.key_rope.has_value(),
          "queryRope and keyRope must be given together");
  Require(a.key_prefix.has_value() == a.value_prefix.has_value(),
          "keySharedPrefix and valueSharedPrefix must be given together");
  Require(!a.sink || a.sink->numel() == a.heads, "learnableSink must have one element per head");
  Require(
      !a.sink || !a.log_sum_exp.defined(),
      "softmaxLse together with learnableSink is not supported: whether it includes the sink is "
      "not documented");
}

// What a call works on, whatever its layout.
struct Operands {
  Tensor q, q_rope, out;  // views [batch, token, head, size]; q_rope may be undefined
  Tensor q_scale;         // likewise, of size 1; of an int8 q
  KeyValues keys, values;
  std::optional<PageLayout> pages;
  bool packed;

  at::ScalarType ComputedIn() const { return q_scale.defined() ? at::kFloat : q.scalar_type(); }
};

void AddRope(Operands& o, const InferArguments& a, const std::string& layout) {
  if (!a.query_rope) return;
  o.q_rope = RowsIn(layout, *a.query_rope, a.heads, "queryRope");
  o.keys.rope = StoredIn(a, *a.key_rope, layout, "keyRope", o.pages).rows;
  // Of int8 queries and keys the ropes are as precise as the result.
  const auto type = o.q_scale.defined() ? o.out.scalar_type() : o.q.scalar_type();
  Require(
      o.q_rope.sizes().slice(0, 3) == o.q.sizes().slice(0, 3) && o.q_rope.scalar_type() == type &&
          o.keys.size() == o.q.size(3) + o.q_rope.size(3) &&
          o.keys.rope.sizes().slice(0, 3) == o.keys.rows.sizes().slice(0, 3) &&
          o.keys.rope.scalar_type() == type,
      "queryRope and keyRope must have the shapes and dtypes of query and key but for one size");
  Require(!o.keys.scale || o.q_scale.defined(),
          "keyRope is supported with an int8 cache only if query is int8 too");
}

Operands OperandsOf(const InferArguments& a) {
  const auto layouts = LayoutsOf(a.layout);
  Operands o;
  o.packed = IsPacked(layouts.in);
  o.q = RowsIn(layouts.in, a.query, a.heads, "query");
  o.out = RowsIn(layouts.out, a.out, a.heads, "attentionOut");
  o.keys = StoredIn(a, a.key, layouts.in, "key", o.pages);
  o.values = StoredIn(a, a.value, layouts.in, "value", o.pages);
  Require(o.q.size(2) == a.heads, "query's number of heads is not numHeads");
  Require(o.keys.heads() == a.kv_heads && o.values.heads() == a.kv_heads,
          "key's number of heads is not numKeyValueHeads");
  Require(o.keys.size() == o.q.size(3), "key's head size differs from query's");
  Require(o.out.sizes().slice(0, 3) == o.q.sizes().slice(0, 3) && o.out.size(3) == o.values.size(),
          "attentionOut has the wrong shape");
  o.keys.sequences = o.values.sequences =
      o.packed && a.query_lengths ? static_cast<int64_t>(a.query_lengths->size()) : o.q.size(0);
  if (a.query_scale) {  // [..., 1], or without that dimension
    const bool flat = layouts.in != "BSH" && a.query_scale->dim() < a.query.dim();
    o.q_scale = RowsIn(layouts.in, flat ? a.query_scale->unsqueeze(-1) : *a.query_scale, a.heads,
                       "dequantScaleQuery");
    Require(o.q_scale.sizes().slice(0, 3) == o.q.sizes().slice(0, 3) && o.q_scale.size(3) == 1,
            "dequantScaleQuery must have a number for each token and head of query");
  }
  const auto type = o.ComputedIn();
  SetScale(o.keys, a.key_scale, a.key_offset, a.key_scaling, type, "key", "keyAntiquantMode");
  SetScale(o.values, a.value_scale, a.value_offset, a.value_scaling, type, "value",
           "valueAntiquantMode");
  SetPrefix(o.keys, a.key_prefix, a.prefix_length, layouts.in, a.kv_heads, "keySharedPrefix");
  SetPrefix(o.values, a.value_prefix, a.prefix_length, layouts.in, a.kv_heads, "valueSharedPrefix");
  AddRope(o, a, layouts.in);
  return o;
}

void SetMask(AttentionCall& call, const InferArguments& a, const Operands& o) {
  // One query per sequence sees all keys that its mask shows, whatever the sparse mode.
  const bool single = !o.packed && o.q.size(1) == 1 && !o.q_rope.defined();
  if (!single) {
    SetSparsity(call, a.sparse_mode, a.mask, a.pre_tokens, a.next_tokens);
  } else if (a.mask && a.sparse_mode < 2) {
    call.mask = a.mask->dim() == 2 ? a.mask->unsqueeze(1) : *a.mask;  // [B, KV_S]
  }
  Require(!o.packed || !call.mask.defined() || call.mask.dim() == 2,
          "attenMask must have 2 dimensions in a packed layout");
}

void SetLogSumExp(AttentionCall& call, const Tensor& log_sum_exp, const Operands& o) {
  if (!log_sum_exp.defined()) return;
  const auto tokens = o.q.size(1), heads = o.q.size(2);
  Require(log_sum_exp.scalar_type() == at::kFloat && log_sum_exp.is_contiguous() &&
              log_sum_exp.numel() == o.q.size(0) * tokens * heads,
          "softmaxLse must be a contiguous float tensor of one element per query and head");
  call.log_sum_exp = log_sum_exp;
  // [T, N, 1] or [B, N, S, 1]
  call.statistics_strides =
      o.packed ? RowStrides{0, heads, 1} : RowStrides{heads * tokens, 1, tokens};
}

AttentionCall CallOf(const InferArguments& a, const Operands& o) {
  AttentionCall call;
  SetQueries(call, o.q, o.out);
  SetKeys(call, o.keys.rows, o.values.rows);
  if (o.q_rope.defined()) call.key_size += o.q_rope.size(3);
  call.block_table = o.keys.block_table;
  call.block_size = o.keys.block_size;
  call.scale = a.scale;
  SetMask(call, a, o);
  AddSequences(call, a, o.keys, o.packed);
  SetLogSumExp(call, a.log_sum_exp, o);
  if (!o.keys.IsPlain() || !o.values.IsPlain()) {
    call.gather = [keys = o.keys, values = o.values,
                   type = o.ComputedIn()](const AttentionSequence& sequence) {
      return std::pair(keys.Gather(sequence, type), values.Gather(sequence, type));
    };
  }
  return call;
}

// What a call takes from device memory when it runs, and so anew in every run.
struct Late {
  Tensor q_scale, q_rope, sink, query_padding, kv_padding;  // undefined: none
  int64_t kv_tokens;

  bool IsEmpty() const {
    return !q_rope.defined() && !sink.defined() && !query_padding.defined() &&
           !kv_padding.defined();
  }
  AttentionCall AddTo(AttentionCall call) const {
    if (q_scale.defined()) {  // in float32, also the result, which is rounded afterwards
      call.q = call.q.to(at::kFloat) * q_scale;
      call.out = at::zeros(call.out.sizes(), at::kFloat);
      call.out_strides = StridesOf(call.out);
    }
    if (q_rope.defined()) {
      call.q = at::cat({call.q, q_rope.to(call.q.scalar_type())}, -1).contiguous();
      call.q_strides = StridesOf(call.q);
    }
    if (sink.defined()) call.sink = sink.reshape({-1}).to(at::kFloat).contiguous();
    if (query_padding.defined()) ShiftQueries(call, query_padding);
    if (kv_padding.defined()) ShiftKeys(call, kv_padding, kv_tokens);
    return call;
  }
};

Late LateOf(const InferArguments& a, const Operands& o) {
  Late late{.q_scale = o.q_scale,
            .q_rope = o.q_rope,
            .sink = a.sink.value_or(Tensor()),
            .query_padding = {},
            .kv_padding = {},
            .kv_tokens = o.keys.rows.size(1)};
  // Without lengths padding is on the right, whatever its size.
  if (a.query_padding && a.query_lengths && o.q.size(1) > 1) late.query_padding = *a.query_padding;
  if (a.kv_padding && a.kv_lengths) late.kv_padding = *a.kv_padding;
  Require(!o.packed || (!late.query_padding.defined() && !late.kv_padding.defined()),
          "queryPaddingSize and kvPaddingSize are not supported in a packed layout");
  Require(!late.kv_padding.defined() || (!o.keys.block_table.defined() && !o.keys.prefix.defined()),
          "kvPaddingSize cannot be given with a block table or a shared prefix");
  return late;
}

}  // namespace

Work PlanInference(InferArguments a) {
  if (a.kv_heads == 0) a.kv_heads = a.heads;
  CheckArguments(a);
  const auto operands = OperandsOf(a);
  CheckInferLimits(a,
                   {operands.q, operands.keys, operands.values, operands.pages, operands.packed});
  const auto call = CallOf(a, operands);
  const auto late = LateOf(a, operands);
  const bool zero_first = !CoversOutput(call);
  return [call, late, zero_first] {
    if (zero_first) const_cast<Tensor&>(call.out).zero_();
    if (late.IsEmpty()) {
      Attend(call);
    } else {
      const auto complete = late.AddTo(call);
      Attend(complete);
      if (!complete.out.is_same(call.out)) call.out.copy_(complete.out);
    }
  };
}

}  // namespace ascend_sim::opapi
