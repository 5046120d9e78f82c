// SPDX-License-Identifier: Apache-2.0
//
// Rotary position embedding.
#include "opapi/nn/rope.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/simd.h"

namespace ascend_sim::opapi {
namespace {

// Which two elements of a head form a rotated pair.
enum class Pairing { kHalf, kInterleaved };

Pairing PairingOf(int64_t mode) {
  TORCH_CHECK(mode == 0 || mode == 1, "mode ", mode,
              " is not supported: only 0 (half) and 1 (interleave) are");
  return mode == 0 ? Pairing::kHalf : Pairing::kInterleaved;
}

// (-x2, x1), where x1 and x2 are the halves of the last dimension or its even and odd elements.
Tensor Rotated(const Tensor& x, Pairing pairing) {
  const auto n = x.size(-1);
  if (pairing == Pairing::kHalf) {
    return at::cat({x.narrow(-1, n / 2, n / 2).neg(), x.narrow(-1, 0, n / 2)}, -1);
  }
  return at::stack({x.slice(-1, 1, n, 2).neg(), x.slice(-1, 0, n, 2)}, -1).flatten(-2);
}

// x * cos + rotated(x) * sin over the first cos.size(-1) elements of the last dimension; the rest
// is unchanged.
Tensor Embedded(const Tensor& x, const Tensor& cos, const Tensor& sin, Pairing pairing) {
  const auto rotary = cos.size(-1);
  const auto head = x.narrow(-1, 0, rotary).to(at::kFloat);
  auto result =
      (head * cos.to(at::kFloat) + Rotated(head, pairing) * sin.to(at::kFloat)).to(x.scalar_type());
  return rotary == x.size(-1) ? result
                              : at::cat({result, x.narrow(-1, rotary, x.size(-1) - rotary)}, -1);
}

// --- from a cache of cos and sin, by position ---------------------------------------------------

// Rows of cos and sin, [tokens, rotary / 2] each, one after the other in a row of `table`.
struct Angles {
  Tensor table;  // [tokens, rotary], float, contiguous
  int64_t half;
};

// cache [max_position, rotary] holds cos | sin. With positions [m, tokens] (multimodal), `sections`
// says which of the m rows an element's angle comes from: consecutive runs, or every third element
// (interleaved).
Angles LookUp(const Tensor& positions, const Tensor& cache, const Ints& sections,
              bool interleaved) {
  const auto rotary = cache.size(1), half = rotary / 2;
  auto rows = cache.index_select(0, positions.reshape({-1}).to(at::kLong)).to(at::kFloat);
  if (positions.dim() == 1) return {rows.contiguous(), half};
  const auto kinds = positions.size(0), tokens = positions.size(1);
  TORCH_CHECK(static_cast<int64_t>(sections.size()) == kinds, "mropeSection has ", sections.size(),
              " elements, positions has ", kinds, " rows");
  rows = rows.view({kinds, tokens, 2, half});
  auto picked = rows[0].clone();
  if (interleaved) {
    for (int64_t kind = 1; kind < kinds; ++kind) {
      const auto end = std::min(half, sections[kind] * 3);
      picked.slice(-1, kind, end, 3).copy_(rows[kind].slice(-1, kind, end, 3));
    }
  } else {
    int64_t begin = 0;
    for (int64_t kind = 0; kind < kinds; begin += sections[kind], ++kind) {
      picked.narrow(-1, begin, sections[kind]).copy_(rows[kind].narrow(-1, begin, sections[kind]));
    }
  }
  return {picked.view({tokens, rotary}).contiguous(), half};
}

ASCEND_SIM_CLONES void RotateHalves(const float* x, const float* cos, const float* sin, float* out,
                                    int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    out[i] = a * cos[i] - b * sin[i];
    out[half + i] = b * cos[i] + a * sin[i];
  }
}

void RotatePairs(const float* x, const float* cos, const float* sin, float* out, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    out[2 * i] = a * cos[i] - b * sin[i];
    out[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

// x and out [tokens, heads * head_size].
template <class T>
void RotateTokens(const T* x, int64_t x_stride, const Angles& angles, bool neox, T* out,
                  int64_t out_stride, int64_t tokens, int64_t heads, int64_t head_size) {
  const auto half = angles.half, rotary = 2 * half;
  const float* table = angles.table.const_data_ptr<float>();
  std::vector<float> in(rotary), rotated(rotary);
  for (int64_t token = 0; token < tokens; ++token) {
    const float* cos = table + token * rotary;
    for (int64_t head = 0; head < heads; ++head) {
      const T* from = x + token * x_stride + head * head_size;
      T* to = out + token * out_stride + head * head_size;
      const float* values = simd::AsFloats(from, rotary, in.data());
      (neox ? RotateHalves : RotatePairs)(values, cos, cos + half, rotated.data(), half);
      for (int64_t i = 0; i < rotary; ++i) to[i] = static_cast<T>(rotated[i]);
      if (to != from) std::copy(from + rotary, from + head_size, to + rotary);
    }
  }
}

void RotateInto(const Tensor& x, const Angles& angles, int64_t head_size, bool neox, Tensor& out) {
  const auto tokens = angles.table.size(0);
  if (tokens == 0 || x.numel() == 0) return;
  TORCH_CHECK(x.size(0) == tokens && x.numel() % (tokens * head_size) == 0,
              "query and key must be [", tokens, ", heads * ", head_size, "], got ", x.sizes());
  TORCH_CHECK(2 * angles.half <= head_size, "cosSinCache is wider than head_size");
  const auto input = x.reshape({tokens, -1});  // a view unless heads are strided apart
  const auto rows = input.stride(1) == 1 ? input : input.contiguous();
  const auto output = out.is_contiguous() ? out.view({tokens, -1}) : at::empty_like(rows);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "Rope", [&] {
    RotateTokens(rows.const_data_ptr<scalar_t>(), rows.stride(0), angles, neox,
                 output.template data_ptr<scalar_t>(), output.stride(0), tokens,
                 rows.size(1) / head_size, head_size);
  });
  if (!out.is_contiguous()) out.copy_(output.view(out.sizes()));
}

void RopeWithCache(const Tensor& positions, const Tensor& query, const Tensor& key,
                   const Tensor& cache, const Ints& sections, int64_t head_size, bool neox,
                   bool interleaved, Tensor& query_out, Tensor& key_out) {
  const auto angles = LookUp(positions, cache, sections, interleaved);
  RotateInto(query, angles, head_size, neox, query_out);
  RotateInto(key, angles, head_size, neox, key_out);
}

// npu_mrope.md
void CheckRopeWithCache(const Tensor& query, const Tensor& cache, int64_t head_size) {
  const int64_t alignment = query.scalar_type() == at::kFloat ? 16 : 32;
  Limit(head_size > 0 && head_size % alignment == 0, "headSize must be a multiple of ", alignment,
        " with ", query.scalar_type(), ", got ", head_size);
  Limit(cache.size(-1) % alignment == 0 && cache.size(-1) <= head_size,
        "cosSinCache must have a multiple of ", alignment, " columns up to headSize, got ",
        cache.size(-1));
}

// transformer/posembedding/rotary_position_embedding/docs/aclnnRotaryPositionEmbedding.md
void CheckRotary(const Tensor& x, const Tensor& cos) {
  constexpr int64_t kMostSize = 896;
  Limit(x.size(-1) < kMostSize && x.size(-1) % 2 == 0,
        "x's last dimension must be even and less than 896, got ", x.size(-1));
  Limit(cos.size(-1) == x.size(-1), "cos must have x's last dimension, got ", cos.size(-1));
}

// cos and sin have the shape of dy but for dimensions of size 1, over which they broadcast.
// transformer/posembedding/rotary_position_embedding_grad/docs/aclnnRotaryPositionEmbeddingGrad.md
void CheckRotaryGrad(const Tensor& dy, const Tensor& cos, Pairing pairing, bool with_angles) {
  Require(dy.dim() == cos.dim() && at::is_expandable_to(cos.sizes(), dy.sizes()),
          "cos and sin of shape ", cos.sizes(), " do not broadcast to dy of shape ", dy.sizes());
  CheckRotary(dy, cos);
  int64_t shared = 1, spread = 0;  // batches and heads of one angle; dimensions that have angles
  for (int64_t i = 0; i < dy.dim() - 1; ++i) {
    if (cos.size(i) != 1) {
      ++spread;
      continue;
    }
    shared *= dy.size(i);
    Limit(dy.size(i) < 1000, "batches and heads must be fewer than 1000, got ", dy.size(i));
  }
  if (pairing == Pairing::kHalf) {
    Limit(!with_angles || shared <= 1024, "with x, cos must be shared by at most 1024 batches and ",
          "heads, got ", shared);
  } else {
    Limit(spread <= 1, "with interleaved pairs cos must have one batch and one head, got shape ",
          cos.sizes());
    Limit(shared < 1000, "with interleaved pairs cos must be shared by fewer than 1000 batches ",
          "and heads, got ", shared);
  }
}

// apply_rotary_pos_emb.md
void CheckApplyRotary(const Tensor& query, const Tensor& key, const Tensor& cos, int64_t layout) {
  constexpr int64_t kBsnd = 1, kTnd = 4;
  Limit(layout == kBsnd || layout == kTnd, "layout must be BSND (1) or TND (4), got ", layout);
  Limit(query.dim() == (layout == kTnd ? 3 : 4),
        "queryRef must have 3 dimensions in layout TND and "
        "4 in BSND, got ",
        query.dim());
  for (const auto* tensor : {&query, &key, &cos}) {
    const auto size = tensor->size(-1);
    Limit(size == 64 || size == 128,
          "the last dimension of queryRef, keyRef, cos and sin must be "
          "64 or 128, got ",
          size);
  }
  Limit(cos.size(-2) == 1, "cos and sin must have one head, got ", cos.size(-2));
}

}  // namespace

Tensor HalfRope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  return Embedded(x, cos, sin, Pairing::kHalf);
}

Tensor InterleaveRope(const Tensor& x, const Tensor& cos, const Tensor& sin) {
  const auto halves = x.unflatten(-1, {x.size(-1) / 2, 2}).transpose(-1, -2).flatten(-2);
  return HalfRope(halves, cos, sin);
}

ACLNN_PLANNED_OP(aclnnRopeWithSinCosCache,
                 (const Tensor& positions, const Tensor& query, const Tensor& key,
                  const Tensor& cache, const Ints& sections, int64_t head_size, bool neox,
                  Tensor& query_out, Tensor& key_out)) {
  CheckRopeWithCache(query, cache, head_size);
  return [=]() mutable {
    RopeWithCache(positions, query, key, cache, sections, head_size, neox, false, query_out,
                  key_out);
  };
}
ACLNN_PLANNED_OP(aclnnRopeWithSinCosCacheV2,
                 (const Tensor& positions, const Tensor& query, const Tensor& key,
                  const Tensor& cache, const Ints& sections, int64_t head_size, bool neox,
                  int64_t cache_mode, Tensor& query_out, Tensor& key_out)) {
  CheckRopeWithCache(query, cache, head_size);
  return [=]() mutable {
    RopeWithCache(positions, query, key, cache, sections, head_size, neox, cache_mode == 1,
                  query_out, key_out);
  };
}

// cos and sin broadcast against x and span its last dimension.
ACLNN_PLANNED_OP(aclnnRotaryPositionEmbedding, (const Tensor& x, const Tensor& cos,
                                                const Tensor& sin, int64_t mode, Tensor& out)) {
  CheckRotary(x, cos);
  return [=]() mutable { Store(out, Embedded(x, cos, sin, PairingOf(mode))); };
}
ACLNN_PLANNED_OP(aclnnRotaryPositionEmbeddingV2,
                 (const Tensor& x, const Tensor& cos, const Tensor& sin, int64_t mode,
                  const OptTensor& rotate, Tensor& out)) {
  CheckRotary(x, cos);
  return [=]() mutable {
    if (!rotate.has_value()) {
      Store(out, Embedded(x, cos, sin, PairingOf(mode)));
      return;
    }
    const auto values = x.to(at::kFloat);  // the rotation is given as a matrix
    Store(out, values * cos + at::matmul(values, rotate->to(at::kFloat)) * sin);
  };
}
// The gradients of x and, where x is given, of cos and sin.
ACLNN_PLANNED_OP(aclnnRotaryPositionEmbeddingGrad,
                 (const Tensor& dy, const Tensor& cos, const Tensor& sin, const OptTensor& x,
                  int64_t mode, Tensor& dx, Tensor& dcos, Tensor& dsin)) {
  const auto pairing = PairingOf(mode);
  Require(cos.sizes() == sin.sizes(), "sin must have the shape of cos, ", cos.sizes(), ", got ",
          sin.sizes());
  Require(!x || x->sizes() == dy.sizes(), "x must have the shape of dy, ", dy.sizes());
  Require(dx.sizes() == dy.sizes() &&
              (!x || (dcos.sizes() == cos.sizes() && dsin.sizes() == cos.sizes())),
          "dxOut must have the shape of dy, dcosOut and dsinOut that of cos");
  CheckRotaryGrad(dy, cos, pairing, x.has_value());
  return [=]() mutable {
    const auto grad = dy.to(at::kFloat);
    // The transpose of a rotation is minus the rotation.
    Store(dx, grad * cos - Rotated(grad * sin, pairing));
    if (!x) return;
    const auto values = x->to(at::kFloat);
    Store(dcos, (grad * values).sum_to_size(cos.sizes()));
    Store(dsin, (grad * Rotated(values, pairing)).sum_to_size(cos.sizes()));
  };
}
ACLNN_PLANNED_OP(aclnnInterleaveRope,
                 (const Tensor& x, const Tensor& cos, const Tensor& sin, Tensor& out)) {
  Require(x.dim() == 4 && cos.dim() == 4 && cos.sizes() == sin.sizes() && cos.size(3) == x.size(3),
          "x, cos and sin must be [batch, heads, tokens, size]");
  // npu_interleave_rope.md, parameters and constraints. Contiguous tensors are not
  // required, whatever it says: vLLM-Ascend rotates the last columns of its queries.
  Limit(x.size(3) == 64, "the size of x must be 64, not ", x.size(3));
  Limit(cos.size(1) == 1, "cos and sin must have one head, not ", cos.size(1));
  return [=]() mutable { Store(out, InterleaveRope(x, cos, sin)); };
}
// In place. The layouts differ in the order of dimensions, over which cos and sin broadcast.
ACLNN_PLANNED_OP(aclnnApplyRotaryPosEmb, (Tensor & query, Tensor& key, const Tensor& cos,
                                          const Tensor& sin, int64_t layout)) {
  CheckApplyRotary(query, key, cos, layout);
  return [=]() mutable {
    query.copy_(Embedded(query, cos, sin, Pairing::kHalf));
    key.copy_(Embedded(key, cos, sin, Pairing::kHalf));
  };
}
ACLNN_PLANNED_OP(aclnnApplyRotaryPosEmbV2,
                 (Tensor & query, Tensor& key, const Tensor& cos, const Tensor& sin, int64_t layout,
                  const std::string& rotary_mode)) {
  Require(rotary_mode == "half" || rotary_mode == "interleave", "rotaryMode '", rotary_mode,
          "' is not supported: only 'half' and 'interleave' are");
  Limit(rotary_mode == "half", "rotaryMode must be 'half', got '", rotary_mode, "'");
  CheckApplyRotary(query, key, cos, layout);
  const auto pairing = rotary_mode == "half" ? Pairing::kHalf : Pairing::kInterleaved;
  return [=]() mutable {
    query.copy_(Embedded(query, cos, sin, pairing));
    key.copy_(Embedded(key, cos, sin, pairing));
  };
}

}  // namespace ascend_sim::opapi
