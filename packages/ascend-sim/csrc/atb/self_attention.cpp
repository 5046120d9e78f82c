// SPDX-License-Identifier: Apache-2.0
//
// Attention of packed sequences to themselves (PA_ENCODER), or to a paged cache that holds them and
// what came before them (PREFIX_ENCODER).
#include "atb/attention.h"
#include "atb/operation.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using ::atb::infer::SelfAttentionParam;
using opapi::Ints;
using opapi::Require;

void RequireSimulated(const SelfAttentionParam& param) {
  Require(param.calcType == SelfAttentionParam::kPaEncoder ||
              param.calcType == SelfAttentionParam::kPrefixEncoder,
          "calcType ", param.calcType, " is not supported: 3 and 4 are");
  Require(param.maskType >= SelfAttentionParam::kNoMask &&
              param.maskType <= SelfAttentionParam::kNormCompress,
          "maskType ", param.maskType,
          " is not supported: 0 to 3 are (the compressed ALiBi masks are not)");
  Require(param.quantType == 0, "quantType is not supported");
  Require(param.clampType == 0, "clampType is not supported");
  Require(param.scaleType == 0, "scaleType LOGN is not supported");
  Require(param.inputLayout == 0, "inputLayout must be BSND (0)");
  Require(param.windowSize == 0 && param.cacheType == 0, "sliding windows are not supported");
  Require(param.mlaVHeadSize == 0, "mlaVHeadSize is not supported");
  Require(param.qScale == 1.0F, "qScale must be 1");
  Require(param.headNum > 0, "headNum must be positive");
}

// [tokens, heads, size] or [tokens, heads * size] as the former.
Tensor Heads(const Tensor& tensor, int64_t heads, const char* name) {
  const auto tokens = tensor.dim() > 0 ? tensor.size(0) : 0;
  Require((tensor.dim() == 2 || tensor.dim() == 3) && tokens > 0 &&
              tensor.numel() % (tokens * heads) == 0,
          name, " must be [tokens, heads, head size] with ", heads, " heads, not ", tensor.sizes());
  return tensor.reshape({tokens, heads, -1});
}

Tensor BiasOf(int mask_type, const Tensor& mask, int64_t index, int64_t queries, int64_t keys) {
  switch (mask_type) {
    case SelfAttentionParam::kNorm: {  // [queries, keys], or one for every sequence
      const auto one = mask.dim() == 3 ? mask.select(0, mask.size(0) == 1 ? 0 : index) : mask;
      return HiddenBias(one, queries, keys);
    }
    // [heads, queries, keys], or one for every sequence; added as it is
    case SelfAttentionParam::kAlibi: {
      const auto one = mask.dim() == 4 ? mask.select(0, mask.size(0) == 1 ? 0 : index) : mask;
      return one.narrow(-2, 0, queries).narrow(-1, 0, keys).to(at::kFloat);
    }
    case SelfAttentionParam::kNormCompress:
      return CausalBias(queries, keys);
    default:
      return {};
  }
}

}  // namespace
}  // namespace ascend_sim::atb

// Inputs: query, key, value, [block table], [mask], query lengths, [key lengths].
ASCEND_SIM_ATB_OPERATION(SelfAttentionParam, "SelfAttentionOperation", 5, 1) {
  RequireSimulated(param);
  const bool paged = param.calcType == SelfAttentionParam::kPrefixEncoder;
  const auto kv_heads = param.kvHeadNum > 0 ? param.kvHeadNum : param.headNum;
  Require(param.headNum % kv_heads == 0, "headNum must be a multiple of kvHeadNum");
  size_t next = 0;
  const auto query = Heads(arguments.Input(next++), param.headNum, "query");
  const auto key = arguments.Input(next++), value = arguments.Input(next++);
  const auto block_table = paged ? arguments.Input(next++) : Tensor();
  const auto mask = param.maskType == SelfAttentionParam::kNoMask ? Tensor()
                    : param.maskType == SelfAttentionParam::kNormCompress
                        ? (void(next++), Tensor())  // always the same triangle
                        : arguments.Input(next++);
  const auto query_lengths = arguments.Lengths(next++, "seq_len");
  const auto key_lengths = paged ? arguments.Lengths(next++, "context_lens") : query_lengths;
  arguments.Expect(next, 1);
  auto out = arguments.Output(0);

  RequireHalf(query, "query");
  Require(key.scalar_type() == query.scalar_type() && value.scalar_type() == query.scalar_type(),
          "key and value must have query's dtype");
  Require(query_lengths.size() == key_lengths.size(), "seq_len and context_lens differ in length");
  RequireCover(query_lengths, query.size(0), "seq_len");
  const auto k = paged ? key : Heads(key, kv_heads, "key");
  const auto v = paged ? value : Heads(value, kv_heads, "value");
  if (paged) {
    Require(k.dim() == 4 && v.dim() == 4 && k.size(2) == kv_heads,
            "key_cache and value_cache must be [blocks, block size, ", kv_heads, ", head size]");
    for (const auto length : key_lengths) {
      Require(length >= 0 && length <= block_table.size(1) * k.size(1),
              "context_lens has an element that block_table does not cover");
    }
  } else {
    RequireCover(key_lengths, k.size(0), "seq_len");
  }
  Require(k.size(-1) == query.size(2), "key's head size differs from query's");
  Require(out.numel() == query.size(0) * query.size(1) * v.size(-1), "out has shape ", out.sizes());
  return [=, scale = static_cast<double>(param.qkScale), mask_type = param.maskType]() mutable {
    const auto rows = out.view({query.size(0), query.size(1), v.size(-1)});
    int64_t begin = 0;
    for (size_t i = 0; i < query_lengths.size(); ++i) {
      const auto queries = query_lengths[i], keys = key_lengths[i];
      if (queries == 0) continue;
      const auto row = static_cast<int64_t>(i);
      const auto own_k = paged ? GatherPages(k, block_table[row], keys) : k.narrow(0, begin, keys);
      const auto own_v = paged ? GatherPages(v, block_table[row], keys) : v.narrow(0, begin, keys);
      const auto bias = BiasOf(mask_type, mask, row, queries, keys);
      rows.narrow(0, begin, queries)
          .copy_(AttendTo(query.narrow(0, begin, queries), own_k, own_v, scale, bias).out);
      begin += queries;
    }
  };
}
