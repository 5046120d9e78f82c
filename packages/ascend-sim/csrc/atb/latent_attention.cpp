// SPDX-License-Identifier: Apache-2.0
//
// Multi-head latent attention: queries and keys in two parts, without and with rotary embedding.
#include "atb/attention.h"
#include "atb/named.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using opapi::Ints;
using opapi::OptTensor;
using opapi::Require;

Ints HostLengths(const HostTensor& lengths, const char* name) {
  Require(lengths.values.scalar_type() == at::kInt, name,
          " must be an int32 tensor in host memory");
  const auto flat = lengths.values.contiguous();
  const auto* const values = flat.const_data_ptr<int32_t>();
  return {values, values + flat.numel()};
}

// `mask` is what lies on the diagonal, [side, side] or [batch, side, side], not 0 where a key is
// hidden: with no more queries and keys than that, its first rows and columns. Beyond it, earlier
// blocks of keys are seen and later ones hidden.
Tensor DiagonalBias(const Tensor& mask, int64_t index, int64_t queries, int64_t keys) {
  const auto block = (mask.dim() == 3 ? mask.select(0, mask.size(0) == 1 ? 0 : index) : mask).ne(0);
  const auto side = block.size(0);
  auto hidden = at::arange(queries).div(side, "floor").unsqueeze(1) <
                at::arange(keys).div(side, "floor").unsqueeze(0);
  for (int64_t begin = 0; begin < std::min(queries, keys); begin += side) {
    const auto rows = std::min(side, queries - begin), columns = std::min(side, keys - begin);
    hidden.narrow(0, begin, rows)
        .narrow(1, begin, columns)
        .copy_(block.narrow(0, 0, rows).narrow(1, 0, columns));
  }
  return BiasWhere(hidden);
}

// Two estimates over different keys as the one over all of them.
Attended Merged(const Attended& now, const Tensor& before, const Tensor& log_sum_exp_before) {
  const auto both = at::logaddexp(now.log_sum_exp, log_sum_exp_before);
  const auto weight = [&](const Tensor& part) {
    return at::exp(part - both).transpose(0, 1).unsqueeze(-1);
  };
  return {now.out * weight(now.log_sum_exp) + before.to(at::kFloat) * weight(log_sum_exp_before),
          both};
}

}  // namespace

// Keys are cached as one latent vector per token, which is also the value. `lse` is written in
// calc_type 2.
ATB_FUNCTION(AtbMLA,
             (const Tensor& q_nope, const Tensor& q_rope, const Tensor& ctkv, const Tensor& k_rope,
              const Tensor& block_tables, const HostTensor& context_lens, const OptTensor& mask,
              const OptHostTensor& query_lens, const OptTensor& qk_descale,
              const OptTensor& pv_descale, int64_t heads, float scale, int64_t kv_heads,
              int mask_type, int calc_type, int cache_mode, Tensor& out, OptTensor& lse)) {
  Require(cache_mode == 1, "cache_mode ", cache_mode, " is not supported: krope_ctkv (1) is");
  Require(!qk_descale && !pv_descale, "quantized caches are not supported");
  Require(mask_type == 0 || mask_type == 1, "mask_type ", mask_type,
          " is not supported: undefined (0) and mask_type_spec (1) are");
  RequireHalf(q_nope, "q_nope");
  Require(q_nope.dim() == 3 && q_nope.size(1) == heads && q_rope.dim() == 3,
          "q_nope and q_rope must be [tokens, ", heads, ", size]");
  Require(ctkv.dim() == 4 && k_rope.dim() == 4 && ctkv.size(2) == kv_heads &&
              k_rope.size(2) == kv_heads && ctkv.size(3) == q_nope.size(2) &&
              k_rope.size(3) == q_rope.size(2),
          "ctkv and k_rope must be [blocks, block size, ", kv_heads,
          ", size] with the sizes of "
          "q_nope and q_rope");
  const auto lengths = HostLengths(context_lens, "context_lens");
  const auto queries = query_lens ? HostLengths(*query_lens, "qseqlen") : Ints(lengths.size(), 1);
  Require(queries.size() == lengths.size(), "qseqlen and context_lens differ in length");
  RequireCover(queries, q_nope.size(0), "qseqlen");
  Require(block_tables.dim() == 2 && block_tables.size(0) >= static_cast<int64_t>(lengths.size()),
          "block_tables must have a row per sequence");
  for (const auto length : lengths) {
    Require(length > 0 && length <= block_tables.size(1) * ctkv.size(1),
            "context_lens has an element that block_tables does not cover, or 0");
  }
  return [=, log_sum_exp = calc_type == 2 ? lse : OptTensor()]() mutable {
    const auto q = at::cat({q_nope, q_rope}, -1);
    int64_t begin = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const auto pages = block_tables[static_cast<int64_t>(i)];
      const auto v = GatherPages(ctkv, pages, lengths[i]);
      const auto k = at::cat({v, GatherPages(k_rope, pages, lengths[i])}, -1);
      const auto bias =
          mask_type == 0 ? Tensor()
                         : SpeculativeBias(mask.value_or(Tensor()), begin, queries[i], lengths[i]);
      const auto result = AttendTo(q.narrow(0, begin, queries[i]), k, v, scale, bias);
      out.narrow(0, begin, queries[i]).copy_(result.out);
      if (log_sum_exp) {
        log_sum_exp->narrow(0, begin, queries[i]).copy_(result.log_sum_exp.t().unsqueeze(-1));
      }
      begin += queries[i];
    }
  };
}

// A share of the keys of a longer attention: the result is merged with that of the shares before,
// unless this is the first (calc_type 1).
ATB_FUNCTION(AtbRingMLA,
             (const Tensor& q_nope, const Tensor& q_rope, const Tensor& k_nope,
              const Tensor& k_rope, const Tensor& value, const OptTensor& mask,
              const HostTensor& lengths, const OptTensor& before, const OptTensor& lse_before,
              int64_t heads, int64_t kv_heads, float scale, int /*kernel_type*/, int mask_type,
              int /*input_layout*/, int calc_type, Tensor& out, Tensor& lse)) {
  RequireHalf(q_nope, "q_nope");
  Require(q_nope.dim() == 3 && q_nope.size(1) == heads, "q_nope must be [tokens, ", heads,
          ", size], not ", q_nope.sizes());
  Require(k_nope.dim() == 3 && k_nope.size(1) == kv_heads && value.dim() == 3,
          "k_nope must be "
          "[tokens, ",
          kv_heads, ", size], not ", k_nope.sizes());
  const auto numbers = HostLengths(lengths, "seqlen");
  const bool one_row = lengths.values.dim() == 1;
  Require(one_row || (lengths.values.dim() == 2 && lengths.values.size(0) == 2),
          "seqlen must be [batch], or [2, batch] for lengths of queries and keys");
  const auto batch = static_cast<int64_t>(numbers.size()) / (one_row ? 1 : 2);
  const Ints queries(numbers.begin(), numbers.begin() + batch);
  const Ints keys(numbers.end() - batch, numbers.end());
  RequireCover(queries, q_nope.size(0), "seqlen");
  RequireCover(keys, k_nope.size(0), "seqlen of the keys");
  const bool masked = mask_type != 0;
  Require(!masked || (mask &&
                      (mask->dim() == 2 ||
                       (mask->dim() == 3 && (mask->size(0) == 1 || mask->size(0) == batch))) &&
                      mask->size(-1) == mask->size(-2) && mask->size(-1) > 0),
          "mask must be [side, side] or [batch, side, side] with mask_type_triu");
  const bool first = calc_type == 1;
  Require(first || (before && lse_before),
          "pre_out and prev_lse must be given unless calc_type is "
          "calc_type_first_ring");
  return [=]() mutable {
    const auto q = at::cat({q_nope, q_rope}, -1), k = at::cat({k_nope, k_rope}, -1);
    int64_t row = 0, column = 0;
    for (int64_t i = 0; i < batch; ++i) {
      const auto own = [&](const Tensor& tensor) { return tensor.narrow(0, row, queries[i]); };
      const auto bias = masked ? DiagonalBias(*mask, i, queries[i], keys[i]) : Tensor();
      auto result = AttendTo(own(q), k.narrow(0, column, keys[i]), value.narrow(0, column, keys[i]),
                             scale, bias);
      if (!first) result = Merged(result, own(*before), lse_before->narrow(1, row, queries[i]));
      own(out).copy_(result.out);
      lse.narrow(1, row, queries[i]).copy_(result.log_sum_exp);
      row += queries[i];
      column += keys[i];
    }
  };
}

// Attention of the new tokens of each sequence to a paged cache of all of them.
ATB_FUNCTION(AtbSelfAttentionPrefixEncoder,
             (const Tensor& query, const Tensor& key, const Tensor& value,
              const Tensor& block_tables, const OptTensor& /*mask*/, const HostTensor& query_lens,
              const HostTensor& key_lens, const OptTensor& slopes, int mask_type, int64_t heads,
              int64_t kv_heads, float scale, Tensor& out)) {
  Require((mask_type == 3 || mask_type == 9) && !slopes, "mask_type ", mask_type,
          " is not supported: mask_type_norm_compress (3) and mask_type_causal_mask (9) are");
  RequireHalf(query, "query");
  Require(query.dim() == 3 && query.size(1) == heads && key.dim() == 4 && value.dim() == 4 &&
              key.size(2) == kv_heads,
          "query must be [tokens, ", heads, ", size]; key and value [blocks, block size, ",
          kv_heads, ", size]");
  const auto queries = HostLengths(query_lens, "seqlen"), keys = HostLengths(key_lens, "kv_seqlen");
  Require(queries.size() == keys.size(), "seqlen and kv_seqlen differ in length");
  RequireCover(queries, query.size(0), "seqlen");
  for (const auto length : keys) {
    Require(length > 0 && length <= block_tables.size(1) * key.size(1),
            "kv_seqlen has an element that block_tables does not cover, or 0");
  }
  return [=]() mutable {
    int64_t begin = 0;
    for (size_t i = 0; i < queries.size(); ++i) {
      const auto pages = block_tables[static_cast<int64_t>(i)];
      const auto part = query.narrow(0, begin, queries[i]);
      const auto result =
          AttendTo(part, GatherPages(key, pages, keys[i]), GatherPages(value, pages, keys[i]),
                   scale, CausalBias(queries[i], keys[i]));
      out.narrow(0, begin, queries[i]).copy_(result.out);
      begin += queries[i];
    }
  };
}

}  // namespace ascend_sim::atb
