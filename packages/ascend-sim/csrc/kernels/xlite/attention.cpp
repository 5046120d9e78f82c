// SPDX-License-Identifier: Apache-2.0
//
// attention and flash_attention: causal attention of new tokens over a paged cache, which has their
// own keys and values already. Both give the same results here: what a device keeps between tiles
// is not needed.
//
// As on a device, scores, and the weights after the softmax, are rounded to the model's dtype;
// sums are in float32.
#include <ATen/Parallel.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/found_memory.h"
#include "kernels/xlite/paged_cache.h"
#include "kernels/xlite/rows.h"
#include "opapi/numerics/scores.h"

namespace ascend_sim::kernels::xlite {
namespace {

// Queries [begin, begin + count) of a request, counted from its first new token.
struct QueryBlock {
  int64_t request, begin, count;
};

template <class T>
struct AttentionCall {
  const T* qkv;  // rows of all heads of a token: queries, keys, values
  PagedCache<const T> keys, values;
  T* out;
  const int32_t *starts, *lengths, *cached, *tables;
  int64_t heads, kv_heads, size, batch, table_width;

  void Run(const char* name) const {
    Find(name);
    constexpr int64_t kQueriesAtOnce = 32;
    std::vector<QueryBlock> blocks;
    for (int64_t request = 0; request < batch; ++request) {
      for (int64_t query = 0; query < lengths[request]; query += kQueriesAtOnce) {
        blocks.push_back({request, query, std::min(kQueriesAtOnce, lengths[request] - query)});
      }
    }
    const auto parts = static_cast<int64_t>(blocks.size()) * kv_heads;
    at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        Attend(blocks[part / kv_heads], part % kv_heads);
    });
  }

 private:
  int64_t Width() const { return (heads + 2 * kv_heads) * size; }
  int64_t Keys(int64_t request) const { return int64_t{cached[request]} + lengths[request]; }

  void Find(const char* name) const {
    FoundMemory memory(name);
    for (int64_t request = 0; request < batch; ++request) {
      if (lengths[request] < 0 || cached[request] < 0 || starts[request] < 0) {
        throw std::runtime_error("request " + std::to_string(request) +
                                 " has a negative start, length or cached length");
      }
      const auto used = (Keys(request) + keys.block_size - 1) / keys.block_size;
      if (used > table_width) {
        throw std::runtime_error("request " + std::to_string(request) + " has " +
                                 std::to_string(Keys(request)) + " tokens, but its table has " +
                                 std::to_string(table_width) + " blocks of " +
                                 std::to_string(keys.block_size));
      }
      memory.Reads("a row of the input", qkv + starts[request] * Width(),
                   lengths[request] * Width());
      memory.Writes("a row of the output", out + starts[request] * heads * size,
                    lengths[request] * heads * size);
      for (int64_t i = 0; i < used; ++i) {
        const auto block = tables[request * table_width + i];
        if (block < 0) {
          throw std::runtime_error("blockTables[" + std::to_string(request) + "][" +
                                   std::to_string(i) + "] is " + std::to_string(block));
        }
        const auto tokens = std::min(keys.block_size, Keys(request) - i * keys.block_size);
        memory.Reads("a block of kCache", keys.Block(block), tokens * keys.row);
        memory.Reads("a block of vCache", values.Block(block), tokens * values.row);
      }
    }
    memory.Note();
  }

  // Calls visit(first key, keys, their rows of this head as floats) for each block of the cache.
  template <class Visit>
  void ForEachBlock(const PagedCache<const T>& cache, int64_t request, int64_t kv_head,
                    int64_t count, const Visit& visit) const {
    std::vector<float> rows(cache.block_size * size);
    for (int64_t first = 0; first < count; first += cache.block_size) {
      const T* block = cache.Block(tables[request * table_width + first / cache.block_size]);
      const auto here = std::min(cache.block_size, count - first);
      for (int64_t i = 0; i < here; ++i) {
        Load(block + i * cache.row + kv_head * size, size, rows.data() + i * size);
      }
      visit(first, here, rows.data());
    }
  }

  // The queries of all heads that share a key/value head are rows of one matrix: query by query.
  void Attend(const QueryBlock& block, int64_t kv_head) const {
    const auto group = heads / kv_heads, rows = block.count * group;
    const auto before =
        cached[block.request] + block.begin;  // keys that come before the first query's own
    const auto count = before + block.count;
    const auto token = starts[block.request] + block.begin;
    std::vector<float> queries(rows * size), scores(rows * count), sums(rows * size, 0.0f);
    for (int64_t i = 0; i < block.count; ++i) {
      Load(qkv + (token + i) * Width() + kv_head * group * size, group * size,
           queries.data() + i * group * size);
    }
    ForEachBlock(keys, block.request, kv_head, count,
                 [&](int64_t first, int64_t here, const float* key_rows) {
                   opapi::ScoreTokens(queries.data(), rows, key_rows, size, here, size, 1.0f,
                                      scores.data() + first, count);
                 });
    for (int64_t row = 0; row < rows; ++row) {
      Weigh(scores.data() + row * count, before + row / group + 1, count);
    }
    ForEachBlock(values, block.request, kv_head, count,
                 [&](int64_t first, int64_t here, const float* value_rows) {
                   opapi::AccumulateTokens(scores.data() + first, count, rows, value_rows, size,
                                           here, size, sums.data());
                 });
    for (int64_t i = 0; i < block.count; ++i) {
      Store(sums.data() + i * group * size, group * size,
            out + ((token + i) * heads + kv_head * group) * size);
    }
  }

  // Turns the scores of a query, which sees the first `visible` of `count` keys, into weights.
  static void Weigh(float* scores, int64_t visible, int64_t count) {
    for (int64_t i = 0; i < visible; ++i) scores[i] = Rounded<T>(scores[i]);
    const float sum =
        opapi::Exponentiate(scores, visible, *std::max_element(scores, scores + visible));
    for (int64_t i = 0; i < visible; ++i) scores[i] = Rounded<T>(scores[i] / sum);
    std::fill(scores + visible, scores + count, 0.0f);
  }
};

template <class T>
KernelRun Plan(KernelLaunch& launch, const AttentionCall<T>& call) {
  launch.Require(call.keys.block_size > 0, "blockSize must be above 0");
  launch.Require(call.kv_heads > 0 && call.heads % call.kv_heads == 0,
                 "nHeads must be a multiple of nKVHeads");
  launch.Reads(call.starts, call.batch);
  launch.Reads(call.lengths, call.batch);
  launch.Reads(call.cached, call.batch);
  launch.Reads(call.tables, call.batch * call.table_width);
  return [call, name = launch.Name()] { call.Run(name); };
}

template <class T>
KernelRun Attention(KernelLaunch& launch, const T* qkv, const T* k_cache, const T* v_cache,
                    T* /*scores*/, T* out, const int32_t* starts, const int32_t* lengths,
                    const int32_t* cached, const int32_t* tables, uint32_t k_pitch,
                    uint32_t v_pitch, uint32_t heads, uint32_t kv_heads, uint32_t size,
                    uint32_t block_size, uint32_t batch, uint32_t table_width) {
  const int64_t row = int64_t{kv_heads} * size;
  return Plan(launch, AttentionCall<T>{qkv,
                                       {k_cache, block_size, row, k_pitch},
                                       {v_cache, block_size, row, v_pitch},
                                       out,
                                       starts,
                                       lengths,
                                       cached,
                                       tables,
                                       heads,
                                       kv_heads,
                                       size,
                                       batch,
                                       table_width});
}

template <class T>
KernelRun FlashAttention(KernelLaunch& launch, const T* qkv, const T* k_cache, const T* v_cache,
                         T* scores, void* /*sv*/, void* /*max*/, void* /*sum*/, void* /*last_max*/,
                         void* /*last_sum*/, void* /*sync*/, T* out, const int32_t* starts,
                         const int32_t* lengths, const int32_t* cached, const int32_t* tables,
                         uint32_t k_pitch, uint32_t v_pitch, uint32_t heads, uint32_t kv_heads,
                         uint32_t size, uint32_t block_size, uint32_t batch, uint32_t table_width,
                         uint32_t /*tile*/) {
  return Attention(launch, qkv, k_cache, v_cache, scores, out, starts, lengths, cached, tables,
                   k_pitch, v_pitch, heads, kv_heads, size, block_size, batch, table_width);
}

}  // namespace

ASCEND_SIM_KERNEL(attention_bfloat16_t, Attention<BFloat16>);
ASCEND_SIM_KERNEL(attention_float16_t, Attention<Half>);
ASCEND_SIM_KERNEL(flash_attention_bfloat16_t, FlashAttention<BFloat16>);
ASCEND_SIM_KERNEL(flash_attention_float16_t, FlashAttention<Half>);

}  // namespace ascend_sim::kernels::xlite
