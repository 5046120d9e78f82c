// SPDX-License-Identifier: Apache-2.0
//
// What comes before the attention of multi-head latent attention (MLA): queries in the latent space
// and their rotated part, and the rows of the cache. Formulas: npu_mla_prolog_v2.md and
// npu_mla_prolog_v3.md.
//
// What a product takes is rounded to the dtype of its weight; what follows a product is float32.
#include "opapi/abi/store.h"
#include "opapi/attention/limits.h"
#include "opapi/cache/latent_cache.h"
#include "opapi/nn/rope.h"
#include "opapi/numerics/quantize.h"
#include "opapi/numerics/rms_norm.h"
#include "opapi/products/quant_matmul.h"

namespace ascend_sim::opapi {
namespace {

// A weight in FRACTAL_NZ [in, out], and the scales of its columns if it is int8.
struct Weight {
  FormattedTensor matrix;
  OptTensor scale;
  const char* name;

  bool quantized() const { return matrix.scalar_type() == at::kChar; }
};

struct Prolog {
  Tensor x = {};  // [T, He] or [B, S, He]
  Weight down_query, up_query, down_key;
  Tensor up_key = {};  // [heads, D, latent]
  Tensor gamma_query = {}, gamma_key = {}, sin = {}, cos = {};
  Tensor latent_cache = {}, rope_cache = {};
  OptTensor index = {}, x_scale = {}, latent_scale = {}, rope_scale = {}, smooth = {};
  double epsilon_query = 0, epsilon_key = 0;
  std::string cache_mode = {};
  double query_factor = 0, key_factor = 0;
  Tensor query = {}, query_rope = {};
  OptTensor query_scale = {}, norm = {}, norm_scale = {};

  int64_t tokens() const { return x.numel() / x.size(-1); }
  int64_t rope() const { return cos.size(-1); }
};

// x @ weight in float32. `scale`: of the rows of an int8 x.
Tensor Product(const Tensor& x, const OptTensor& scale, const Weight& weight) {
  const auto matrix = weight.matrix.Read();
  if (!weight.quantized()) {
    return at::matmul(x.to(matrix.scalar_type()).to(at::kFloat), matrix.to(at::kFloat));
  }
  return Dequantize(IntMatmul(x, matrix),
                    {.scale = weight.scale->flatten(), .per_token_scale = scale->flatten()});
}

// Writes rows [tokens, size] to a cache.
void StoreRows(const Prolog& p, const Tensor& rows, const OptTensor& scale, Tensor cache) {
  const auto stored = Stored(rows, scale, cache);
  if (p.cache_mode == "BSND" || p.cache_mode == "TND") {  // the cache has these tokens only
    Store(cache, stored);
    return;
  }
  const auto mode =
      p.cache_mode.find("_BLK_") == std::string::npos ? CacheMode::kPaged : CacheMode::kPagedBlocks;
  const bool fractal = p.cache_mode.ends_with("_NZ");
  const auto batch = p.x.dim() == 3 ? p.x.size(0) : 1;
  Scatter(stored.view({batch, -1, stored.size(1)}), *p.index, {mode, fractal}, cache);
}

void Run(Prolog& p) {
  const auto tokens = p.tokens(), heads = p.up_key.size(0), size = p.up_key.size(1);
  if (tokens == 0) return;
  const auto x = p.x.reshape({tokens, -1});
  const auto cos = p.cos.reshape({tokens, p.rope()}), sin = p.sin.reshape({tokens, p.rope()});

  auto norm =
      RmsNorm(Product(x, p.x_scale, p.down_query), p.gamma_query, p.epsilon_query) * p.query_factor;
  OptTensor norm_scale;
  if (p.up_query.quantized()) {
    auto quantized = QuantizeRows(p.smooth ? norm * *p.smooth : norm);
    norm = quantized.values;
    norm_scale = quantized.scale;
  }
  if (p.norm) Store(*p.norm, norm);
  if (p.norm_scale && norm_scale) Store(*p.norm_scale, *norm_scale);

  const auto of_heads =
      Product(norm, norm_scale, p.up_query).view({tokens, heads, size + p.rope()});
  Store(p.query_rope,
        InterleaveRope(of_heads.narrow(-1, size, p.rope()), cos.unsqueeze(1), sin.unsqueeze(1)));
  const auto content = of_heads.narrow(-1, 0, size).to(p.up_key.scalar_type()).to(at::kFloat);
  const auto query =
      at::bmm(content.transpose(0, 1), p.up_key.to(at::kFloat)).transpose(0, 1).contiguous();
  if (p.query.scalar_type() == at::kChar) {
    const auto quantized = QuantizeRows(query);
    Store(p.query, quantized.values);
    Store(*p.query_scale, quantized.scale);
  } else {
    Store(p.query, query);
  }

  const auto key = Product(x, p.x_scale, p.down_key);
  const auto latent = p.gamma_key.size(0);
  StoreRows(p, RmsNorm(key.narrow(1, 0, latent), p.gamma_key, p.epsilon_key) * p.key_factor,
            p.latent_scale, p.latent_cache);
  StoreRows(p, InterleaveRope(key.narrow(1, latent, p.rope()), cos, sin), p.rope_scale,
            p.rope_cache);
}

void CheckWeight(const Weight& weight, int64_t in, int64_t out) {
  Require(weight.matrix.dim() == 2 && weight.matrix.size(0) == in && weight.matrix.size(1) == out,
          weight.name, " must be [", in, ", ", out, "], got ", weight.matrix.sizes());
  Require(weight.quantized() == weight.scale.has_value(), "the scale of ", weight.name,
          " must be given if it is int8, and only then");
  Require(!weight.scale || weight.scale->numel() == out, "the scale of ", weight.name,
          " must have ", out, " elements");
  Limit(weight.matrix.fractal(), weight.name, " must be in format FRACTAL_NZ");
}

void CheckShapes(const Prolog& p) {
  Require((p.x.dim() == 2 || p.x.dim() == 3) && p.x.size(-1) > 0,
          "tokenX must be [T, He] or [B, S, He]");
  Require(p.up_key.dim() == 3, "weightUk must be [N, D, Hckv]");
  const auto tokens = p.tokens(), heads = p.up_key.size(0), size = p.up_key.size(1),
             latent = p.up_key.size(2);
  Require(p.gamma_query.dim() == 1 && p.gamma_key.dim() == 1 && p.gamma_key.size(0) == latent,
          "rmsnormGammaCq must be [Hcq], rmsnormGammaCkv [Hckv]");
  Require(p.cos.sizes() == p.sin.sizes() && p.cos.dim() == p.x.dim() &&
              p.cos.numel() == tokens * p.rope() && p.rope() % 2 == 0,
          "ropeSin and ropeCos must have a row for each of tokenX");
  CheckWeight(p.down_query, p.x.size(-1), p.gamma_query.size(0));
  CheckWeight(p.up_query, p.gamma_query.size(0), heads * (size + p.rope()));
  CheckWeight(p.down_key, p.x.size(-1), latent + p.rope());
}

void CheckQuantization(const Prolog& p) {
  const bool full = p.x.scalar_type() == at::kChar;
  Require(full == p.down_query.quantized() && full == p.down_key.quantized() &&
              full == p.x_scale.has_value(),
          "tokenX, weightDq and weightDkvKr must be int8 together, with dequantScaleX");
  Require(!full || p.up_query.quantized(), "weightUqQr must be int8 with an int8 tokenX");
  Require(!p.x_scale || p.x_scale->numel() == p.tokens(),
          "dequantScaleX must have one element per token");
  Require(!p.smooth || p.smooth->numel() == p.gamma_query.size(0),
          "smoothScalesCq must have Hcq elements");
  Require((p.latent_cache.scalar_type() == at::kChar) == p.latent_scale.has_value() &&
              (p.rope_cache.scalar_type() == at::kChar) == p.rope_scale.has_value(),
          "quantScaleCkv and quantScaleCkr must be given for an int8 cache, and only then");
  Require(p.query.scalar_type() != at::kChar || p.query_scale,
          "dequantScaleQNope must be given with an int8 query");
}

void CheckCache(const Prolog& p, std::initializer_list<const char*> modes) {
  Require(std::find(modes.begin(), modes.end(), p.cache_mode) != modes.end(), "cacheMode '",
          p.cache_mode, "' must be one of ", c10::Join(", ", modes));
  const bool paged = p.cache_mode.starts_with("PA_");
  Require(paged == p.index.has_value(),
          "cacheIndex must be given for a paged cache, and only then");
  Require(p.x.dim() == 3 || p.cache_mode.find("_BLK_") == std::string::npos, "cacheMode ",
          p.cache_mode, " takes a tokenX of [B, S, He]: actualSeqLen is not supported");
  for (const auto* cache : {&p.latent_cache, &p.rope_cache}) {
    const auto size = cache == &p.latent_cache ? p.gamma_key.size(0) : p.rope();
    Require(cache->size(-1) == size, "a row of kvCache and krCache must have Hckv and Dr elements");
    Require(!paged || (cache->dim() == 4 && cache->size(2) == 1),
            "kvCache and krCache must be [BlockNum, BlockSize, 1, size]");
    Limit(!paged || IsOneOf(cache->size(1), {16, 128}), "BlockSize must be 16 or 128, got ",
          cache->size(1));
  }
}

// npu_mla_prolog_v2.md, npu_mla_prolog_v3.md and aclnnMlaPrologV3WeightNz.md, constraints.
void CheckSizes(const Prolog& p) {
  Limit(IsOneOf(p.x.size(-1), {6144, 7168, 7680}), "He must be 6144, 7168 or 7680, got ",
        p.x.size(-1));
  Limit(p.gamma_query.size(0) == 1536, "Hcq must be 1536, got ", p.gamma_query.size(0));
  Limit(IsOneOf(p.up_key.size(0), {1, 2, 4, 8, 16, 32, 64, 128}),
        "N must be a power of two up to 128, got ", p.up_key.size(0));
  Limit(p.up_key.size(1) == 128, "D must be 128, got ", p.up_key.size(1));
  Limit(p.up_key.size(2) == 512, "Hckv must be 512, got ", p.up_key.size(2));
  Limit(p.rope() == 64, "Dr must be 64, got ", p.rope());
  Limit(p.x.dim() == 2 || p.x.size(1) <= 16, "S must be at most 16, got ", p.x.size(1));
}

Work Plan(Prolog p, std::initializer_list<const char*> modes) {
  CheckShapes(p);
  CheckQuantization(p);
  CheckCache(p, modes);
  CheckSizes(p);
  return [p = std::move(p)]() mutable { Run(p); };
}

#define PROLOG_INPUTS                                                                        \
  const Tensor &x, const FormattedTensor &weight_dq, const FormattedTensor &weight_uq_qr,    \
      const Tensor &weight_uk, const FormattedTensor &weight_dkv_kr, const Tensor &gamma_cq, \
      const Tensor &gamma_ckv, const Tensor &rope_sin, const Tensor &rope_cos
#define PROLOG_SCALES                                                                        \
  const OptTensor &scale_x, const OptTensor &scale_dq, const OptTensor &scale_uq_qr,         \
      const OptTensor &scale_dkv_kr, const OptTensor &scale_ckv, const OptTensor &scale_ckr, \
      const OptTensor &smooth_cq
#define PROLOG_ATTRIBUTES double epsilon_cq, double epsilon_ckv, const std::string &cache_mode
#define PROLOG_RESULTS Tensor &query, Tensor &query_rope, OptTensor &query_scale

// Of all versions; what only one has is set afterwards.
Prolog CollectProlog(PROLOG_INPUTS, Tensor& kv_cache, Tensor& kr_cache,
                     const OptTensor& cache_index, PROLOG_SCALES, PROLOG_ATTRIBUTES,
                     PROLOG_RESULTS) {
  return {.x = x,
          .down_query = {weight_dq, scale_dq, "weightDq"},
          .up_query = {weight_uq_qr, scale_uq_qr, "weightUqQr"},
          .down_key = {weight_dkv_kr, scale_dkv_kr, "weightDkvKr"},
          .up_key = weight_uk,
          .gamma_query = gamma_cq,
          .gamma_key = gamma_ckv,
          .sin = rope_sin,
          .cos = rope_cos,
          .latent_cache = kv_cache,
          .rope_cache = kr_cache,
          .index = cache_index,
          .x_scale = scale_x,
          .latent_scale = scale_ckv,
          .rope_scale = scale_ckr,
          .smooth = smooth_cq,
          .epsilon_query = epsilon_cq,
          .epsilon_key = epsilon_ckv,
          .cache_mode = cache_mode,
          .query_factor = 1,
          .key_factor = 1,
          .query = query,
          .query_rope = query_rope,
          .query_scale = query_scale};
}
#define PROLOG_ARGUMENTS                                                                   \
  CollectProlog(x, weight_dq, weight_uq_qr, weight_uk, weight_dkv_kr, gamma_cq, gamma_ckv, \
                rope_sin, rope_cos, kv_cache, kr_cache, cache_index, scale_x, scale_dq,    \
                scale_uq_qr, scale_dkv_kr, scale_ckv, scale_ckr, smooth_cq, epsilon_cq,    \
                epsilon_ckv, cache_mode, query, query_rope, query_scale)

}  // namespace

ACLNN_PLANNED_OP(aclnnMlaPrologV2WeightNz,
                 (PROLOG_INPUTS, const Tensor& cache_index, Tensor& kv_cache, Tensor& kr_cache,
                  PROLOG_SCALES, PROLOG_ATTRIBUTES, PROLOG_RESULTS)) {
  return Plan(PROLOG_ARGUMENTS, {"PA_BSND", "PA_NZ"});
}

ACLNN_PLANNED_OP(aclnnMlaPrologV3WeightNz,
                 (PROLOG_INPUTS, Tensor& kv_cache, Tensor& kr_cache, const OptTensor& cache_index,
                  PROLOG_SCALES, const OptTensor& actual_seq_len, const OptTensor& clip_alpha,
                  PROLOG_ATTRIBUTES, int64_t weight_quant_mode, int64_t kv_quant_mode,
                  int64_t query_quant_mode, int64_t ckvkr_repo_mode, int64_t scale_repo_mode,
                  int64_t /*tile_size: of kvCacheQuantMode 3*/, double query_factor,
                  double key_factor, PROLOG_RESULTS, OptTensor& query_norm,
                  OptTensor& query_norm_scale)) {
  Require(!actual_seq_len && !clip_alpha, "actualSeqLen and kNopeClipAlpha are not supported");
  Require(weight_quant_mode >= 0 && weight_quant_mode <= 2,
          "weightQuantMode must be 0, 1 or 2, got ", weight_quant_mode);
  Require(kv_quant_mode >= 0 && kv_quant_mode <= 2, "kvCacheQuantMode must be 0, 1 or 2, got ",
          kv_quant_mode);
  Require(ckvkr_repo_mode == 0 && scale_repo_mode == 0,
          "ckvkrRepoMode and quantScaleRepoMode must be 0");
  auto prolog = PROLOG_ARGUMENTS;
  prolog.query_factor = query_factor;
  prolog.key_factor = key_factor;
  prolog.norm = query_norm;
  prolog.norm_scale = query_norm_scale;
  Require(prolog.up_query.quantized() == (weight_quant_mode > 0) &&
              prolog.down_query.quantized() == (weight_quant_mode == 2),
          "the dtypes of the weights do not fit weightQuantMode ", weight_quant_mode);
  Require((kv_cache.scalar_type() == at::kChar) == (kv_quant_mode > 0),
          "the dtype of kvCache does not fit kvCacheQuantMode ", kv_quant_mode);
  Require((query.scalar_type() == at::kChar) == (query_quant_mode == 1),
          "the dtype of query does not fit queryQuantMode ", query_quant_mode);
  return Plan(std::move(prolog), {"PA_BSND", "PA_NZ", "PA_BLK_BSND", "PA_BLK_NZ", "BSND", "TND"});
}

}  // namespace ascend_sim::opapi
