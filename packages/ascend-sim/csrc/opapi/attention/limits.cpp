// SPDX-License-Identifier: Apache-2.0
//
// Sources are pages of torch_npu's documentation (op-plugin, docs/zh/custom_APIs/torch_npu):
//   FIA   npu_fused_infer_attention_score.md
//   FIA2  npu_fused_infer_attention_score_v2.md
//   IFA   npu_incre_flash_attention.md
//   FA    npu_fusion_attention.md
// Where the pages contradict themselves, the wider reading is enforced.
#include "opapi/attention/limits.h"

#include <algorithm>
#include <array>

namespace ascend_sim::opapi {
namespace {

constexpr int64_t kLatentSize = 512;  // of MLA's absorbed form: one latent vector for all heads
constexpr int64_t kRopeSize = 64;

bool IsHalf(const Tensor& t) {
  return t.scalar_type() == at::kHalf || t.scalar_type() == at::kBFloat16;
}

bool IsLatent(const InferArguments& a, const InferShape& s) {
  return a.query_rope.has_value() && s.q.size(3) == kLatentSize;
}

// A cache's blocks may be anywhere: vLLM-Ascend keeps the keys and the values of a block in one
// page, which gives both a stride of their own between blocks.
void CheckBlocks(const Tensor& cache) {
  Limit(cache.numel() == 0 || cache.select(0, 0).is_contiguous(),
        "the blocks of a paged cache must be contiguous");
}

// FIA: the parameters query, key, value, query_rope; FIA2: MLA with an int8 query. The pages want
// contiguous queries and masks too, but ops-transformer's fused_infer_attention_score_def.cpp
// registers them as AutoContiguous, and vLLM-Ascend relies on it: the queries of its MLA prefill
// are columns of a projection. Of keys and values without pages it found that a device wants them
// contiguous (its pull requests 11834 and 13460).
void CheckTensors(const InferArguments& a, const InferShape& s) {
  if (a.IsQuantized()) {
    Limit(IsLatent(a, s), "an int8 query must have a head size of 512");
    Limit(a.out.scalar_type() == at::kBFloat16, "attentionOut must be bfloat16 with an int8 query");
    for (const auto* scale : {&a.query_scale, &a.key_scale, &a.value_scale}) {
      Limit((*scale)->scalar_type() == at::kFloat, "scales must be float32 with an int8 query");
    }
  } else {
    Limit(IsHalf(a.query), "query is ", a.query.scalar_type(),
          ": fused attention takes float16 and bfloat16");
  }
  if (a.block_table) {
    for (const auto* cache : {&a.key, &a.value}) CheckBlocks(*cache);
    if (a.key_rope) CheckBlocks(*a.key_rope);
  } else {
    Limit(a.key.is_contiguous() && a.value.is_contiguous(), "key and value must be contiguous");
    Limit(!a.key_rope || a.key_rope->is_contiguous(), "keyRope must be contiguous");
  }
}

// FIA: the table of layouts; FIA2: the MLA section for those with a rope.
void CheckLayout(const InferArguments& a, const InferShape& s) {
  static const std::vector<std::string> kLayouts = {
      "BSH",       "BSND",      "BNSD", "BNSD_BSND", "BSH_NBSD",
      "BSND_NBSD", "BNSD_NBSD", "TND",  "TND_NTD",   "NTD_TND"};
  static const std::vector<std::string> kWithLatent = {"BSH",       "BSND",     "BNSD", "BNSD_NBSD",
                                                       "BSND_NBSD", "BSH_NBSD", "TND",  "TND_NTD"};
  static const std::vector<std::string> kWithRope = {
      "BSH", "BSND", "TND", "BNSD", "NTD", "BSH_BNSD", "BSND_BNSD", "BNSD_BSND", "NTD_TND"};
  const auto& taken = IsLatent(a, s) ? kWithLatent : a.query_rope ? kWithRope : kLayouts;
  Limit(std::find(taken.begin(), taken.end(), a.layout) != taken.end(), "inputLayout ", a.layout,
        " must be one of ", c10::Join(", ", taken));
  const auto queries = s.q.size(1);
  if (a.query_rope || s.packed) return;
  Limit(a.layout != "BNSD_BSND" || queries > 1,
        "inputLayout BNSD_BSND takes more than one query per sequence");
  Limit(!a.layout.ends_with("_NBSD") || (queries > 1 && queries <= 16), "inputLayout ", a.layout,
        " takes 2 to 16 queries per sequence, not ", queries);
}

// FIA: the table of axes, num_key_value_heads; FIA2: MLA.
void CheckHeads(const InferArguments& a, const InferShape& s) {
  if (IsLatent(a, s)) {
    Limit(a.kv_heads == 1 && IsOneOf(a.heads, {1, 2, 4, 8, 16, 32, 64, 128}),
          "with a head size of 512, numKeyValueHeads must be 1 and numHeads a power of two up to "
          "128, not ",
          a.kv_heads, " and ", a.heads);
    return;
  }
  Limit(a.heads <= 256 && a.kv_heads <= 256, "numHeads and numKeyValueHeads must be at most 256");
  Limit(a.heads / a.kv_heads <= 64, "numHeads must be at most 64 times numKeyValueHeads, not ",
        a.heads / a.kv_heads, " times");
}

// FIA: TND section; FIA2 adds 64 for as many key as query heads. vLLM-Ascend serves models with a
// head size of 64 and grouped heads (Qwen2.5-0.5B in its quick start) through this layout, so that
// is taken too.
void CheckPackedSizes(int64_t key_size, int64_t value_size, const InferArguments& a) {
  const bool same = key_size == value_size && IsOneOf(key_size, {64, 128, 192});
  Limit(same || (key_size == 192 && value_size == 128), "in layout ", a.layout,
        " the head size must be 64, 128 or 192 (with 192, value's may be 128), not ", key_size,
        " and ", value_size);
  Limit(value_size != 192 || (a.layout == "TND" && a.heads == a.kv_heads && !a.block_table),
        "a value head size of 192 needs layout TND, as many key as query heads and no block table");
}

// FIA: the table of axes, the sections Q_S > 1, Q_S = 1 and MLA.
void CheckSizes(const InferArguments& a, const InferShape& s) {
  const auto queries = s.q.size(1), size = s.q.size(3), value_size = s.values.size();
  if (a.query_rope) {
    Limit(size == kLatentSize || size == 128,
          "with queryRope, the head size must be 512 or 128, not ", size);
    Limit(s.keys.rope.size(3) * (s.keys.rope.dim() == 5 ? s.keys.rope.size(4) : 1) == kRopeSize,
          "the head size of queryRope and keyRope must be 64");
    Limit(value_size == size, "value's head size must be key's");
    return;
  }
  Limit(size <= 512, "the head size must be at most 512, not ", size);
  if (s.packed) {
    CheckPackedSizes(size, value_size, a);
    return;
  }
  Limit(value_size == size, "value's head size must be key's");
  const int64_t alignment = s.keys.scale ? 32 : queries > 1 ? 16 : 8;
  Limit(size % alignment == 0, "the head size must be a multiple of ", alignment, ", not ", size);
}

// FIA: the table of axes, TND section. The limit of a packed query with a rope is what
// vLLM-Ascend's metadata builders assert for speculative decoding.
void CheckLengths(const InferArguments& a, const InferShape& s) {
  constexpr int64_t kMostPrefill = 20 << 20, kMostDecode = 262144;
  if (s.packed) {
    Limit(s.keys.sequences <= 4096, "a packed layout takes at most 4096 sequences, not ",
          s.keys.sequences);
    if (!IsLatent(a, s) || !a.query_lengths) return;
    int64_t begin = 0;
    for (const auto end : *a.query_lengths) {
      Limit(end - begin <= 16, "with a head size of 512 a sequence has at most 16 queries, not ",
            end - begin);
      begin = end;
    }
    return;
  }
  Limit(s.q.size(0) <= 65536, "the batch must be at most 65536");
  const auto keys = a.block_table ? s.keys.block_table.size(1) * a.block_size : s.keys.rows.size(1);
  const auto most = s.q.size(1) == 1 ? kMostDecode : kMostPrefill;
  Limit(s.q.size(1) <= kMostPrefill && keys <= most, "there must be at most ", most,
        " keys per sequence, not ", keys);
}

// FIA: PageAttention section, TND section, MLA; IFA for a single query.
void CheckPages(const InferArguments& a, const InferShape& s) {
  if (!s.pages) return;
  const auto block = a.block_size;
  if (s.packed || a.query_rope) {
    Limit(block % 16 == 0 && block <= 1024, "blockSize must be a multiple of 16 up to 1024, not ",
          block);
  } else if (s.q.size(1) > 1) {
    Limit(block % 128 == 0 && block <= 512,
          "blockSize must be 128, 256, 384 or 512 with more than one query per sequence, not ",
          block);
  } else {
    const auto alignment = s.keys.scale ? 32 : 16;
    Limit(block % alignment == 0 && block <= 512, "blockSize must be a multiple of ", alignment,
          " up to 512, not ", block);
  }
  Limit(*s.pages != PageLayout::kSplitHeads,
        "a paged cache must be [blocks, blockSize, heads * size] or [blocks, heads, blockSize, "
        "size]");
  Limit(*s.pages != PageLayout::kFractal || IsLatent(a, s),
        "a fractal cache (NZ) needs a head size of 512 with queryRope");
  const auto in = LayoutsOf(a.layout).in;
  Limit(*s.pages != PageLayout::kHeadsFirst || a.query_rope || in == "BNSD" || in == "TND",
        "a paged cache must be [blocks, blockSize, heads * size] in layout ", in);
  Limit(*s.pages != PageLayout::kTokensFirst || a.kv_heads * s.keys.size() <= 65535,
        "heads * size of a cache [blocks, blockSize, heads * size] must be at most 65535");
  if (s.q.size(1) > 1 || s.packed) {
    Limit(!s.keys.scale || a.IsQuantized(), "an int8 cache in pages takes one query per sequence");
  }
}

// FIA: atten_mask, sparse_mode; FIA2: MLA.
void CheckMask(const InferArguments& a, const InferShape& s) {
  Limit(!IsLatent(a, s) || IsOneOf(a.sparse_mode, {0, 3, 4}),
        "with a head size of 512 sparseMode must be 0, 3 or 4, not ", a.sparse_mode);
  if (!a.mask) return;
  const auto& mask = *a.mask;
  const auto type = mask.scalar_type();
  Limit(type == at::kBool || type == at::kChar || type == at::kByte,
        "attenMask must be bool, int8 or uint8, not ", type);
  const auto leading = mask.sizes().slice(0, std::max<int64_t>(mask.dim() - 2, 0));
  if (a.sparse_mode >= 2) {
    Limit(std::all_of(leading.begin(), leading.end(), [](int64_t n) { return n == 1; }),
          "attenMask must be (2048, 2048), (1, 2048, 2048) or (1, 1, 2048, 2048)");
    return;
  }
  const auto batch = s.q.size(0);
  Limit(leading.empty() || (leading.size() == 1 && leading[0] == 1) ||
            (leading.size() == 2 && leading[1] == 1 && (leading[0] == 1 || leading[0] == batch)),
        "attenMask must be (queries, keys), (1, queries, keys), (1, 1, queries, keys) or (batch, "
        "1, queries, keys), not ",
        mask.sizes());
}

// FIA2: learnable_sink.
void CheckSink(const InferArguments& a, const InferShape& s) {
  if (!a.sink) return;
  Limit(a.layout == "TND" || a.layout == "NTD_TND", "learnableSink needs layout TND or NTD_TND");
  Limit(a.sink->scalar_type() == at::kBFloat16, "learnableSink must be bfloat16");
  Limit(s.values.size() <= 128, "learnableSink takes a value head size of at most 128");
}

}  // namespace

void CheckInferLimits(const InferArguments& arguments, const InferShape& shape) {
  CheckTensors(arguments, shape);
  CheckLayout(arguments, shape);
  CheckHeads(arguments, shape);
  CheckSizes(arguments, shape);
  CheckLengths(arguments, shape);
  CheckPages(arguments, shape);
  CheckMask(arguments, shape);
  CheckSink(arguments, shape);
}

// FA: the section of constraints. It takes float32.
void CheckScoreLimits(const Tensor& q, const Tensor& k, const Tensor& v, const OptTensor& mask,
                      size_t packed_sequences) {
  Limit(q.size(2) <= 256, "headNum must be at most 256");
  Limit(q.size(3) >= 1 && q.size(3) <= 768 && k.size(3) >= v.size(3),
        "the head size must be at most 768, and value's at most key's");
  Limit(packed_sequences <= 1024, "a packed layout takes at most 1024 sequences, not ",
        packed_sequences);
  Limit(q.size(1) <= (1 << 20) && k.size(1) <= (1 << 20), "there must be at most 1048576 tokens");
  if (!mask) return;
  Limit(mask->scalar_type() == at::kBool || mask->scalar_type() == at::kByte,
        "attenMask must be bool or uint8, not ", mask->scalar_type());
  Limit(mask->dim() == 2 || mask->dim() == 4, "attenMask must have 2 or 4 dimensions");
}

}  // namespace ascend_sim::opapi
