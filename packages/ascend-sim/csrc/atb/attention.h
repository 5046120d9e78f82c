// SPDX-License-Identifier: Apache-2.0
//
// Attention one sequence at a time, on ATen: softmax(scale * q k^T + bias) v in float32.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "opapi/base/list.h"

namespace ascend_sim::atb {

struct Attended {
  at::Tensor out;          // [queries, heads, value size], float
  at::Tensor log_sum_exp;  // [heads, queries], float
};

// q [queries, heads, size], k [keys, kv heads, size], v [keys, kv heads, value size]. `bias`
// broadcasts to [heads, queries, keys] or is undefined.
Attended AttendTo(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, double scale,
                  const at::Tensor& bias);

// -inf above the diagonal that ends in the last corner: the last query sees all keys.
at::Tensor CausalBias(int64_t queries, int64_t keys);

// -inf where `hidden`, bool.
at::Tensor BiasWhere(const at::Tensor& hidden);

// Rows of [queries, keys] of a mask that has at least as many, the last query at the last key: -inf
// where the mask is not 0.
at::Tensor HiddenBias(const at::Tensor& mask, int64_t queries, int64_t keys);

// Of the queries from `begin` on: `mask` has a row for every query, [tokens, keys]; otherwise it is
// the triangle that masks a prefill, or undefined, and the last query sees all keys.
at::Tensor SpeculativeBias(const at::Tensor& mask, int64_t begin, int64_t queries, int64_t keys);

// The first `tokens` tokens [tokens, heads, size] of a cache [blocks, block size, heads, size].
at::Tensor GatherPages(const at::Tensor& cache, const at::Tensor& block_table, int64_t tokens);

// Refuses lengths that do not cover `tokens` exactly, or are negative.
void RequireCover(const opapi::List<int64_t>& lengths, int64_t tokens, const char* name);

// Refuses dtypes other than ATB's.
void RequireHalf(const at::Tensor& tensor, const char* name);

}  // namespace ascend_sim::atb
