// SPDX-License-Identifier: Apache-2.0
#include "atb/attention.h"

#include <limits>
#include <numeric>

#include "opapi/abi/tensor.h"

namespace ascend_sim::atb {

using opapi::Require;

constexpr double kHidden = -std::numeric_limits<double>::infinity();

Attended AttendTo(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                  const at::Tensor& bias) {
  const auto queries = q.size(0), heads = q.size(1), keys = k.size(0), kv_heads = k.size(1);
  const auto rows = heads / kv_heads * queries;  // of all heads that share a key
  const auto grouped = q.to(at::kFloat).transpose(0, 1).reshape({kv_heads, rows, q.size(2)});
  auto scores = at::matmul(grouped, k.to(at::kFloat).permute({1, 2, 0}))
                    .view({heads, queries, keys})
                    .mul_(scale);
  if (bias.defined()) scores = scores + bias;
  const auto sum = at::logsumexp(scores, -1, /*keepdim=*/true);
  const auto weights = at::exp(scores - sum).view({kv_heads, rows, keys});
  const auto out = at::matmul(weights, v.to(at::kFloat).transpose(0, 1));
  return {out.view({heads, queries, v.size(2)}).transpose(0, 1), sum.squeeze(-1)};
}

at::Tensor CausalBias(int64_t queries, int64_t keys) {
  return at::full({queries, keys}, kHidden).triu(keys - queries + 1);
}

at::Tensor BiasWhere(const at::Tensor& hidden) {
  return at::zeros(hidden.sizes()).masked_fill_(hidden, kHidden);
}

at::Tensor HiddenBias(const at::Tensor& mask, int64_t queries, int64_t keys) {
  const auto rows = mask.size(-2);
  Require(rows >= std::min(queries, keys) && mask.size(-1) >= keys, "mask ", mask.sizes(),
          " is too small for ", queries, " queries and ", keys, " keys");
  const auto part = mask.narrow(-2, rows < keys ? 0 : keys - queries, queries).narrow(-1, 0, keys);
  return BiasWhere(part.ne(0));
}

at::Tensor SpeculativeBias(const at::Tensor& mask, int64_t begin, int64_t queries, int64_t keys) {
  if (!mask.defined() || mask.dim() != 2 || mask.size(1) < keys) return CausalBias(queries, keys);
  return HiddenBias(mask.narrow(0, begin, queries), queries, keys);
}

at::Tensor GatherPages(const at::Tensor& cache, const at::Tensor& block_table, int64_t tokens) {
  Require(cache.size(1) > 0, "the cache has blocks without tokens");
  const auto blocks = (tokens + cache.size(1) - 1) / cache.size(1);
  return cache.index_select(0, block_table.narrow(0, 0, blocks)).flatten(0, 1).narrow(0, 0, tokens);
}

void RequireCover(const opapi::List<int64_t>& lengths, int64_t tokens, const char* name) {
  for (const auto length : lengths) Require(length >= 0, name, " has a negative element");
  const auto sum = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  Require(sum == tokens, name, " adds up to ", sum, ", but there are ", tokens, " tokens");
}

void RequireHalf(const at::Tensor& tensor, const char* name) {
  const auto type = tensor.scalar_type();
  Require(at::isFloatingType(type), name, " must be a floating-point tensor, not ", type);
  // torch_npu's documentation of torch_npu.atb, and ATB's: float16 and bfloat16.
  opapi::Limit(type == at::kHalf || type == at::kBFloat16, name,
               " must be float16 or bfloat16, not ", type);
}

}  // namespace ascend_sim::atb
