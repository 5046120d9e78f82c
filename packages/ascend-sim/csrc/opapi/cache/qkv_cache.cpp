// SPDX-License-Identifier: Apache-2.0
//
// What comes before attention to a paged cache, in one operator: queries, keys and values out of a
// fused projection; norm and rotation of queries and keys; keys and values quantized or not, to the
// cache. transformer/posembedding/qkv_rms_norm_rope_cache/docs/aclnnQkvRmsNormRopeCache.md
#include "opapi/abi/store.h"
#include "opapi/cache/kv_cache.h"
#include "opapi/nn/rope.h"
#include "opapi/numerics/quantize.h"
#include "opapi/numerics/rms_norm.h"

namespace ascend_sim::opapi {
namespace {

struct Heads {
  int64_t queries, keys, size;
};

// One of the two caches.
struct Side {
  const char* name;
  Tensor cache;
  OptTensor scale, offset;

  bool quantized() const { return cache.scalar_type() == at::kChar; }
  int64_t pieces() const { return quantized() ? 32 : 16; }

  void Check(const Tensor& qkv, const Heads& heads) const {
    Require(quantized() == scale.has_value(), name, " must be int8 with its scale, and only then");
    Require(!offset || scale, name, ": an offset is only taken with a scale");
    Require(quantized() || cache.scalar_type() == qkv.scalar_type(), name,
            " must have the dtype of qkv, ", qkv.scalar_type(), ", or be int8, got ",
            cache.scalar_type());
    Require(cache.dim() == 4 && cache.size(3) == pieces() &&
                cache.size(1) * cache.size(3) == heads.keys * heads.size,
            name, " must be [blocks, ", heads.keys * heads.size / pieces(), ", block_size, ",
            pieces(), "], got ", cache.sizes());
    for (const auto* factor : {&scale, &offset}) {
      Require(!*factor || (*factor)->sizes() == at::IntArrayRef({heads.keys, heads.size}), name,
              ": scale and offset must be [", heads.keys, ", ", heads.size, "]");
    }
    Limit(cache.size(2) % pieces() == 0, "the block size of ", name, " must be a multiple of ",
          pieces(), ", got ", cache.size(2));
  }

  // Writes rows [tokens, heads, size] in float32.
  void Write(const Tensor& rows, const Tensor& slots) {
    auto values = rows;
    if (scale) values = values / *scale;
    if (offset) values = values + *offset;
    ScatterFractals(quantized() ? RoundTo(values, at::kChar) : values.to(cache.scalar_type()),
                    slots, cache, name);
  }
};

void StoreIfWanted(OptTensor& out, const Tensor& rows) {
  if (out) Store(*out, rows.flatten(1));
}

}  // namespace

ACLNN_PLANNED_OP(aclnnQkvRmsNormRopeCache,
                 (const Tensor& qkv, const Tensor& q_gamma, const Tensor& k_gamma,
                  const Tensor& cos, const Tensor& sin, const Tensor& index, Tensor& q_out,
                  Tensor& k_cache, Tensor& v_cache, const OptTensor& k_scale,
                  const OptTensor& v_scale, const OptTensor& k_offset, const OptTensor& v_offset,
                  const Ints& qkv_size, const Ints& head_nums, double epsilon,
                  const std::string& cache_mode, OptTensor& q_before_quant,
                  OptTensor& k_before_quant, OptTensor& v_before_quant)) {
  Require(qkv_size.size() == 4 && head_nums.size() == 3,
          "qkvSize and headNums must have 4 and 3 elements, got ", qkv_size.size(), " and ",
          head_nums.size());
  for (const auto* sizes : {&qkv_size, &head_nums}) {
    for (const auto size : *sizes) {
      Require(0 < size && size <= qkv.numel(),
              "qkvSize and headNums must be positive and fit qkv, ", "got ", size);
    }
  }
  const Heads heads{head_nums[0], head_nums[1], qkv_size[3]};
  const auto batch = qkv_size[0], length = qkv_size[1], tokens = qkv.size(0);
  Require(head_nums[1] == head_nums[2] && heads.queries + 2 * heads.keys == qkv_size[2],
          "headNums must be as many keys as values, in all ", qkv_size[2], ", got ", head_nums);
  Require(qkv.dim() == 2 && tokens % batch == 0 && tokens / batch == length &&
              qkv.size(1) % heads.size == 0 && qkv.size(1) / heads.size == qkv_size[2],
          "qkv must be [B * S, N * D] with the sizes of qkvSize, ", qkv_size, ", got ",
          qkv.sizes());
  Require(heads.size % 2 == 0, "D must be even, got ", heads.size);
  for (const auto* gamma : {&q_gamma, &k_gamma}) {
    Require(gamma->sizes() == at::IntArrayRef({heads.size}), "qGamma and kGamma must have ",
            heads.size, " elements, got the shape ", gamma->sizes());
  }
  for (const auto* angles : {&cos, &sin}) {
    Require(angles->sizes() == at::IntArrayRef({tokens, heads.size}), "cos and sin must be [",
            tokens, ", ", heads.size, "], got ", angles->sizes());
  }
  Require(index.sizes() == at::IntArrayRef({tokens}), "index must have ", tokens,
          " elements, got the shape ", index.sizes());
  const at::DimVector query_shape{tokens, heads.queries * heads.size};
  const at::DimVector key_shape{tokens, heads.keys * heads.size};
  Require(q_out.sizes() == query_shape, "qOut must have the shape ", at::IntArrayRef(query_shape),
          ", got ", q_out.sizes());
  Require((!q_before_quant || q_before_quant->sizes() == query_shape) &&
              (!k_before_quant || k_before_quant->sizes() == key_shape) &&
              (!v_before_quant || v_before_quant->sizes() == key_shape),
          "the outputs before quantization must have the shapes of queries, keys and values");
  Require(cache_mode == "PA_NZ", "cacheMode must be 'PA_NZ', got '", cache_mode, "'");
  const Side keys{"kCache", k_cache, k_scale, k_offset};
  const Side values{"vCache", v_cache, v_scale, v_offset};
  keys.Check(qkv, heads);
  values.Check(qkv, heads);
  Limit(heads.size == 128, "D must be 128, got ", heads.size);
  const auto block_size = std::max<int64_t>(k_cache.size(2), 1);
  Limit(k_cache.size(0) >= (length + block_size - 1) / block_size * batch,
        "kCache must have a block for every ", block_size, " tokens of each sequence, got ",
        k_cache.size(0));
  return [=]() mutable {
    const auto rows = qkv.unflatten(1, {-1, heads.size}).to(at::kFloat);
    const auto cosines = cos.unsqueeze(1), sines = sin.unsqueeze(1);
    const auto query =
        HalfRope(RmsNorm(rows.narrow(1, 0, heads.queries), q_gamma, epsilon), cosines, sines);
    const auto key = HalfRope(RmsNorm(rows.narrow(1, heads.queries, heads.keys), k_gamma, epsilon),
                              cosines, sines);
    const auto value = rows.narrow(1, heads.queries + heads.keys, heads.keys);
    Store(q_out, query.flatten(1));
    Side(keys).Write(key, index);
    Side(values).Write(value, index);
    StoreIfWanted(q_before_quant, query);
    StoreIfWanted(k_before_quant, key);
    StoreIfWanted(v_before_quant, value);
  };
}

}  // namespace ascend_sim::opapi
