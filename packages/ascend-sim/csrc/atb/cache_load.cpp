// SPDX-License-Identifier: Apache-2.0
//
// Reads tokens out of a paged cache, one sequence after the other.
#include "atb/attention.h"
#include "atb/named.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using opapi::OptTensor;
using opapi::Require;

}  // namespace

// `seq_starts` is where a sequence begins in its pages, in tokens: a multiple of the block size.
ATB_FUNCTION(AtbPagedCacheLoad,
             (const Tensor& key_cache, const Tensor& value_cache, const Tensor& block_table,
              const Tensor& lengths, Tensor& key, Tensor& value, const OptTensor& seq_starts,
              int8_t cache_format, bool cumulative, bool /*has_seq_starts*/)) {
  Require(cache_format == 1, "caches in FRACTAL_NZ are not supported");
  Require(key_cache.dim() == 4 && value_cache.dim() == 4,
          "key_cache and value_cache must be [blocks, block size, heads, head size]");
  Require(block_table.scalar_type() == at::kInt && lengths.scalar_type() == at::kInt,
          "block_table and context_lens must be int32 tensors");
  return [=]() mutable {
    const auto ends = cumulative ? lengths : lengths.cumsum(0, at::kInt);
    const auto block_size = key_cache.size(1);
    const auto at = [](const Tensor& numbers, int64_t i) { return numbers[i].item<int64_t>(); };
    int64_t begin = cumulative ? at(ends, 0) : 0;
    const int64_t skipped = cumulative ? 1 : 0;  // cumulative lengths begin with 0
    for (int64_t row = 0; row + skipped < ends.size(0); ++row) {
      const auto count = at(ends, row + skipped) - begin;
      const auto first = seq_starts ? at(*seq_starts, row) / block_size : 0;
      const auto pages = block_table[row].narrow(0, first, block_table.size(1) - first);
      key.narrow(0, begin, count).copy_(GatherPages(key_cache, pages, count));
      value.narrow(0, begin, count).copy_(GatherPages(value_cache, pages, count));
      begin += count;
    }
  };
}

}  // namespace ascend_sim::atb
