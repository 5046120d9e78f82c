// SPDX-License-Identifier: Apache-2.0
//
// Attention to keys and values in pages: one query per sequence, or several (speculative and split
// prefill). Lengths are read in host memory when the operation is launched.
#include "atb/attention.h"
#include "atb/operation.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using ::atb::infer::PagedAttentionParam;
using opapi::Ints;
using opapi::Require;

void RequireSimulated(const PagedAttentionParam& param) {
  Require(param.quantType == 0, "quantType ", param.quantType, " is not supported: 0 is");
  Require(param.compressType == 0, "compressType is not supported");
  Require(param.scaleType == 0, "scaleType LOGN is not supported");
  Require(param.inputLayout == 0, "inputLayout must be BSND (0)");
  Require(!param.batchRunStatusEnable, "batchRunStatusEnable is not supported");
  Require(param.maskType == PagedAttentionParam::kNoMask ||
              param.maskType == PagedAttentionParam::kAlibi ||
              param.maskType == PagedAttentionParam::kSpec ||
              param.maskType == PagedAttentionParam::kNormCompress,
          "maskType ", param.maskType, " is not supported: 0, 2, 3 and 5 are");
  Require(param.headNum > 0 && param.kvHeadNum > 0 && param.headNum % param.kvHeadNum == 0,
          "headNum must be a positive multiple of kvHeadNum");
}

// What the mask adds to the scores of sequence `index`, whose queries begin at `begin`.
Tensor BiasOf(int mask_type, const Tensor& mask, int64_t index, int64_t begin, int64_t queries,
              int64_t keys) {
  switch (mask_type) {
    // [tokens, heads, 1, keys] or [tokens, 1, keys], added as it is
    case PagedAttentionParam::kAlibi:
      return mask.select(0, mask.size(0) == 1 ? 0 : index).narrow(-1, 0, keys).to(at::kFloat);
    case PagedAttentionParam::kSpec:
      return SpeculativeBias(mask, begin, queries, keys);
    case PagedAttentionParam::kNormCompress:
      return CausalBias(queries, keys);
    default:
      return {};
  }
}

}  // namespace
}  // namespace ascend_sim::atb

// Inputs: query, key cache, [value cache], block table, context lengths, [mask], [query lengths].
// With mlaVHeadSize the values are the first so many elements of the keys.
ASCEND_SIM_ATB_OPERATION(PagedAttentionParam, "PagedAttentionOperation", 5, 1) {
  RequireSimulated(param);
  const bool latent = param.mlaVHeadSize > 0, several = param.calcType == 1;
  size_t next = 0;
  const auto query = arguments.Input(next++), keys = arguments.Input(next++);
  const auto values = latent ? keys.narrow(-1, 0, param.mlaVHeadSize) : arguments.Input(next++);
  const auto block_table = arguments.Input(next++);
  const auto lengths = arguments.Lengths(next++, "context_lens");
  const auto mask =
      param.maskType == PagedAttentionParam::kNoMask ? Tensor() : arguments.Input(next++);
  const auto query_lengths =
      several ? arguments.Lengths(next++, "seq_len") : Ints(lengths.size(), 1);
  arguments.Expect(next, 1);
  auto out = arguments.Output(0);

  RequireHalf(query, "query");
  Require(query.dim() == 3 && query.size(1) == param.headNum, "query must be [tokens, ",
          param.headNum, ", head size], not ", query.sizes());
  Require(keys.dim() == 4 && keys.size(2) == param.kvHeadNum && keys.size(3) == query.size(2),
          "key_cache must be [blocks, block size, ", param.kvHeadNum, ", ", query.size(2),
          "], not ", keys.sizes());
  Require(values.dim() == 4 && values.size(1) == keys.size(1) && values.size(2) == keys.size(2),
          "value_cache must have the blocks of key_cache, not ", values.sizes());
  Require(keys.scalar_type() == query.scalar_type(), "key_cache must have query's dtype");
  Require(out.numel() == query.size(0) * query.size(1) * values.size(3), "out has shape ",
          out.sizes());
  Require(block_table.dim() == 2 && block_table.scalar_type() == at::kInt &&
              block_table.size(0) >= static_cast<int64_t>(lengths.size()),
          "block_table must be an int32 tensor with a row per sequence");
  Require(query_lengths.size() == lengths.size(), "seq_len and context_lens differ in length");
  RequireCover(query_lengths, query.size(0), several ? "seq_len" : "context_lens (its length)");
  for (const auto length : lengths) {
    Require(length >= 0 && length <= block_table.size(1) * keys.size(1),
            "context_lens has an element that block_table does not cover");
  }
  return [=, scale = static_cast<double>(param.qkScale), mask_type = param.maskType]() mutable {
    const auto rows = out.view({query.size(0), query.size(1), values.size(3)});
    int64_t begin = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      const auto queries = query_lengths[i];
      const auto result = rows.narrow(0, begin, queries);
      if (lengths[i] == 0) {
        result.zero_();
      } else {
        const auto pages = block_table[static_cast<int64_t>(i)];
        const auto k = GatherPages(keys, pages, lengths[i]);
        const auto v =
            latent ? k.narrow(-1, 0, values.size(3)) : GatherPages(values, pages, lengths[i]);
        const auto bias = BiasOf(mask_type, mask, i, begin, queries, lengths[i]);
        result.copy_(AttendTo(query.narrow(0, begin, queries), k, v, scale, bias).out);
      }
      begin += queries;
    }
  };
}
