// SPDX-License-Identifier: Apache-2.0
//
// The cache of multi-head latent attention (MLA): a normalized latent vector and a rotated part of
// the key for every token.
#include "opapi/cache/latent_cache.h"

#include "opapi/abi/store.h"
#include "opapi/nn/rope.h"
#include "opapi/numerics/rms_norm.h"

namespace ascend_sim::opapi {
namespace {

Target TargetOf(const std::string& cache_mode) {
  if (cache_mode == "Norm") return {CacheMode::kNorm, false};
  if (cache_mode == "PA" || cache_mode == "PA_BNSD") return {CacheMode::kPaged, false};
  if (cache_mode == "PA_NZ") return {CacheMode::kPaged, true};
  if (cache_mode == "PA_BLK_BNSD") return {CacheMode::kPagedBlocks, false};
  if (cache_mode == "PA_BLK_NZ") return {CacheMode::kPagedBlocks, true};
  throw ParamError(kParamInvalid, "cacheMode '" + cache_mode +
                                      "' must be Norm, PA, PA_BNSD, PA_NZ, PA_BLK_BNSD or "
                                      "PA_BLK_NZ");
}

// Slots of the tokens [batch, tokens] in a paged cache.
Tensor SlotsOf(const Tensor& index, CacheMode mode, int64_t batch, int64_t tokens,
               int64_t block_size) {
  if (mode == CacheMode::kPaged) return index.reshape({batch, tokens});
  const auto position = at::arange(tokens, at::kLong);
  const auto block = index.reshape({batch, -1}).index_select(1, position.div(block_size, "floor"));
  // A negative index marks a block that is not written.
  return at::where(block < 0, block,
                   block.div(block_size, "floor") * block_size + position.remainder(block_size));
}

}  // namespace

Tensor Stored(const Tensor& rows, const OptTensor& scale, const Tensor& cache) {
  if (!scale) return rows.to(cache.scalar_type());
  return (rows * *scale).round().clamp(-128, 127).to(at::kChar);
}

void Scatter(const Tensor& rows, const Tensor& index, const Target& target, const Tensor& cache) {
  const auto batch = rows.size(0), tokens = rows.size(1), size = rows.size(2);
  const auto positions = index.to(at::kLong);
  if (target.mode == CacheMode::kNorm) {
    const auto places = positions.reshape({batch, tokens});
    const auto kept = at::where(places >= 0);
    cache.select(1, 0).index_put_({kept[0], places.index({kept[0], kept[1]})},
                                  rows.index({kept[0], kept[1]}));
    return;
  }
  const auto block_size = cache.size(1);
  const auto slots = SlotsOf(positions, target.mode, batch, tokens, block_size).flatten();
  const auto kept = at::nonzero(slots >= 0).squeeze(-1);
  if (kept.numel() == 0) return;
  const auto slot = slots.index_select(0, kept);
  TORCH_CHECK(slot.max().item().toLong() < cache.size(0) * block_size, "index has ",
              slot.max().item().toLong(), ", but the cache has ", cache.size(0) * block_size,
              " slots");
  const auto values = rows.flatten(0, 1).index_select(0, kept);
  const auto block = slot.div(block_size, "floor"), place = slot.remainder(block_size);
  if (!target.fractal) {
    cache.select(2, 0).index_put_({block, place}, values);
    return;
  }
  const int64_t c = cache.scalar_type() == at::kChar ? 32 : 16;
  cache.view({cache.size(0), size / c, block_size, c})
      .permute({0, 2, 1, 3})
      .index_put_({block, place}, values.unflatten(1, {size / c, c}));
}

namespace {

// What all versions have in common: two kinds of rows, [batch, 1, tokens, size] in float32, and
// where they go.
struct Rows {
  Tensor rope, latent;
};

struct CacheArguments {
  Tensor kv, gamma, cos, sin, index, rope_cache, latent_cache;
  OptTensor rope_scale, latent_scale;
  double epsilon;
  std::string cache_mode;
  bool with_rows;
  Tensor rope_rows, latent_rows;
};

void CheckArguments(const CacheArguments& a, const OptTensor& rope_offset,
                    const OptTensor& latent_offset) {
  Require(!rope_offset && !latent_offset, "kRopeOffset and cKvOffset are not supported");
  Require(a.kv.dim() == 4 && a.kv.size(1) == 1, "kv must be [batch, 1, tokens, size]");
  Require(a.cos.sizes() == a.sin.sizes() && a.cos.dim() == 4, "cos and sin must have 4 dimensions");
  Require(a.rope_cache.dim() == 4 && a.latent_cache.dim() == 4,
          "kCache and ckvCache must have 4 dimensions");
  Require(a.rope_scale.has_value() == a.latent_scale.has_value(),
          "kRopeScale and cKvScale must be given together");
  const auto expected = a.rope_scale ? at::kChar : a.kv.scalar_type();
  Require(a.rope_cache.scalar_type() == expected && a.latent_cache.scalar_type() == expected,
          "kCache and ckvCache must be ", expected);
  // npu_kv_rmsnorm_rope_cache.md, parameters.
  Limit(a.cos.size(3) == 64, "the size of cos and sin must be 64, not ", a.cos.size(3));
}

// `rows` makes the rows, when the operator runs.
Work PlanCache(CacheArguments a, std::function<Rows(const CacheArguments&)> rows) {
  const auto target = TargetOf(a.cache_mode);
  return [=, a = std::move(a)]() mutable {
    const auto made = rows(a);
    Scatter(Stored(made.rope, a.rope_scale, a.rope_cache).select(1, 0), a.index, target,
            a.rope_cache);
    Scatter(Stored(made.latent, a.latent_scale, a.latent_cache).select(1, 0), a.index, target,
            a.latent_cache);
    if (!a.with_rows || target.mode == CacheMode::kNorm) return;
    Store(a.rope_rows, made.rope);
    Store(a.latent_rows, made.latent);
  };
}

}  // namespace

#define CACHE_INPUTS                                                                          \
  const Tensor &kv, const Tensor &gamma, const Tensor &cos, const Tensor &sin,                \
      const Tensor &index, Tensor &k_cache, Tensor &ckv_cache, const OptTensor &k_rope_scale, \
      const OptTensor &c_kv_scale, const OptTensor &k_rope_offset, const OptTensor &c_kv_offset
#define CACHE_ATTRIBUTES \
  double epsilon, const std::string &cache_mode, bool is_output_kv, Tensor &k_rope, Tensor &c_kv
static CacheArguments CollectCache(CACHE_INPUTS, CACHE_ATTRIBUTES) {
  CacheArguments arguments{kv,         gamma,        cos,          sin,        index,
                           k_cache,    ckv_cache,    k_rope_scale, c_kv_scale, epsilon,
                           cache_mode, is_output_kv, k_rope,       c_kv};
  CheckArguments(arguments, k_rope_offset, c_kv_offset);
  return arguments;
}
#define CACHE_ARGUMENTS                                                                  \
  CollectCache(kv, gamma, cos, sin, index, k_cache, ckv_cache, k_rope_scale, c_kv_scale, \
               k_rope_offset, c_kv_offset, epsilon, cache_mode, is_output_kv, k_rope, c_kv)

// kv is latent | rope: the latent part is normalized, the other rotated.
ACLNN_PLANNED_OP(aclnnKvRmsNormRopeCache, (CACHE_INPUTS, CACHE_ATTRIBUTES)) {
  auto arguments = CACHE_ARGUMENTS;
  const auto latent = gamma.numel(), rope = cos.size(3);
  Require(kv.size(3) == latent + rope, "kv has ", kv.size(3), " elements, gamma and cos ",
          latent + rope);
  Limit(latent == 512, "gamma must have 512 elements, not ", latent);
  return PlanCache(std::move(arguments), [=](const CacheArguments& a) {
    return Rows{
        InterleaveRope(a.kv.narrow(-1, latent, rope).to(at::kFloat), a.cos, a.sin),
        RmsNorm(a.kv.narrow(-1, 0, latent), a.gamma, a.epsilon),
    };
  });
}

// All of kv is normalized, then its first part is rotated; v goes to the other cache unchanged.
ACLNN_PLANNED_OP(aclnnKvRmsNormRopeCacheV2, (CACHE_INPUTS, const OptTensor& v, CACHE_ATTRIBUTES)) {
  auto arguments = CACHE_ARGUMENTS;
  Require(v.has_value() && v->dim() == 4, "v must be [batch, 1, tokens, size]");
  const auto rope = cos.size(3);
  Require(gamma.numel() == kv.size(3) && kv.size(3) >= rope, "gamma must have kv's size");
  return PlanCache(std::move(arguments), [=, v = *v](const CacheArguments& a) {
    const auto normalized = RmsNorm(a.kv, a.gamma, a.epsilon);
    const auto rotated = InterleaveRope(normalized.narrow(-1, 0, rope), a.cos, a.sin);
    const auto rest = normalized.narrow(-1, rope, a.kv.size(3) - rope);
    return Rows{at::cat({rotated, rest}, -1), v.to(at::kFloat)};
  });
}

}  // namespace ascend_sim::opapi
