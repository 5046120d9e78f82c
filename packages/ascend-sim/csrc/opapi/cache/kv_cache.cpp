// SPDX-License-Identifier: Apache-2.0
//
#include "opapi/cache/kv_cache.h"

namespace ascend_sim::opapi {
namespace {

// Copies token rows to their slots: rows [tokens, heads, size]; cache [blocks, block_size, heads,
// size]. A slot is block * block_size + place in the block; a negative one marks padding and is
// skipped.
template <class Slot>
void ScatterRows(const Tensor& rows, const Slot* slots, Tensor& cache, const char* what) {
  const auto block_size = cache.size(1), capacity = cache.size(0) * block_size;
  const auto row_elements = rows.numel() / rows.size(0);
  const auto item = static_cast<int64_t>(rows.element_size());
  const auto row_bytes = static_cast<size_t>(row_elements * item);
  const auto* source = static_cast<const char*>(rows.const_data_ptr());
  auto* target = static_cast<char*>(cache.data_ptr());
  for (int64_t token = 0; token < rows.size(0); ++token) {
    const auto slot = static_cast<int64_t>(slots[token]);
    if (slot < 0) continue;
    TORCH_CHECK(slot < capacity, "slot_mapping[", token, "] = ", slot, ", but ", what, " has ",
                capacity, " slots");
    const auto place = slot / block_size * cache.stride(0) + slot % block_size * cache.stride(1);
    std::memcpy(target + place * item, source + token * rows.stride(0) * item, row_bytes);
  }
}

void ScatterTokens(const Tensor& rows, const Tensor& slots, Tensor& cache, const char* what) {
  if (rows.numel() == 0) return;
  TORCH_CHECK(rows.dim() == 3, what, ": the tokens must be [tokens, heads, size], got ",
              rows.sizes());
  TORCH_CHECK(rows.scalar_type() == cache.scalar_type(), what, " must have its tokens' dtype");
  TORCH_CHECK(cache.dim() == 4 && cache.size(2) == rows.size(1) && cache.size(3) == rows.size(2),
              what, " must be [blocks, block_size, ", rows.size(1), ", ", rows.size(2), "], got ",
              cache.sizes());
  TORCH_CHECK(cache.stride(3) == 1 && cache.stride(2) == cache.size(3), what,
              ": the row of a token must be contiguous");
  TORCH_CHECK(slots.numel() >= rows.size(0), "slotMapping has ", slots.numel(), " elements for ",
              rows.size(0), " tokens");
  const bool dense_rows = rows.stride(2) == 1 && rows.stride(1) == rows.size(2);
  const auto source = dense_rows ? rows : rows.contiguous();
  const auto mapping = slots.contiguous();
  if (mapping.scalar_type() == at::kInt) {
    ScatterRows(source, mapping.const_data_ptr<int32_t>(), cache, what);
  } else {
    TORCH_CHECK(mapping.scalar_type() == at::kLong, "slotMapping must be int32 or int64");
    ScatterRows(source, mapping.const_data_ptr<int64_t>(), cache, what);
  }
}

}  // namespace

void ScatterFractals(const Tensor& rows, const Tensor& slots, Tensor& cache, const char* what) {
  TORCH_CHECK(cache.dim() == 4 && rows.dim() == 3, what,
              " must be [blocks, heads * size / c, block_size, c] and its tokens [tokens, heads, "
              "size]");
  TORCH_CHECK(rows.scalar_type() == cache.scalar_type(), what, " must have its tokens' dtype");
  TORCH_CHECK(cache.size(1) * cache.size(3) == rows.size(1) * rows.size(2), what, " has rows of ",
              cache.size(1) * cache.size(3), " elements, its tokens ", rows.size(1) * rows.size(2));
  const auto block_size = cache.size(2);
  const auto mapping = slots.flatten().slice(0, 0, rows.size(0)).to(at::kLong);
  const auto kept = at::nonzero(mapping >= 0).squeeze(-1);
  if (kept.numel() == 0) return;
  const auto slot = mapping.index_select(0, kept);
  TORCH_CHECK(slot.max().item().toLong() < cache.size(0) * block_size, "slotMapping has ",
              slot.max().item().toLong(), ", but ", what, " has ", cache.size(0) * block_size,
              " slots");
  const auto pieces = rows.reshape({rows.size(0), cache.size(1), cache.size(3)});
  cache.permute({0, 2, 1, 3})
      .index_put_({slot.div(block_size, "floor"), slot.remainder(block_size)},
                  pieces.index_select(0, kept));
}

namespace {

bool IsFractal(const std::string& cache_mode) {
  Require(cache_mode.empty() || cache_mode == "Norm" || cache_mode == "PA_NZ", "cache_mode '",
          cache_mode, "' is not supported: 'Norm' and 'PA_NZ' are");
  return cache_mode == "PA_NZ";
}

// [block, token in block, elements of a token], a copy if the layout is fractal.
Tensor TokensOf(const Tensor& cache, bool fractal) {
  return (fractal ? cache.permute({0, 2, 1, 3}) : cache).flatten(2);
}

}  // namespace

ACLNN_PLANNED_OP(aclnnScatterPaKvCache,
                 (const Tensor& key, Tensor& key_cache, const Tensor& slots, const Tensor& value,
                  Tensor& value_cache, const OptTensor& compress_lens,
                  const OptTensor& compress_seq_offsets, const OptTensor& seq_lens,
                  const std::string& cache_mode, const std::string& scatter_mode,
                  const OptInts& /*strides*/, const OptInts& /*offsets*/)) {
  const auto scatter = IsFractal(cache_mode) ? ScatterFractals : ScatterTokens;
  TORCH_CHECK(
      !compress_lens && !compress_seq_offsets && !seq_lens,
      "compressed scatter (compress_lens, compress_seq_offsets, seq_lens) is not supported");
  TORCH_CHECK(scatter_mode.empty() || scatter_mode == "None", "scatterMode '", scatter_mode,
              "' is not supported");
  return [=]() mutable {
    scatter(key, slots, key_cache, "key_cache");
    scatter(value, slots, value_cache, "value_cache");
  };
}
ACLNN_PLANNED_OP(aclnnScatterPaCache,
                 (const Tensor& key, Tensor& key_cache, const Tensor& slots,
                  const OptTensor& compress_lens, const OptTensor& compress_seq_offsets,
                  const OptTensor& seq_lens, const std::string& cache_mode)) {
  const auto scatter = IsFractal(cache_mode) ? ScatterFractals : ScatterTokens;
  TORCH_CHECK(
      !compress_lens && !compress_seq_offsets && !seq_lens,
      "compressed scatter (compress_lens, compress_seq_offsets, seq_lens) is not supported");
  return [=]() mutable { scatter(key, slots, key_cache, "key_cache"); };
}

// The inverse: the first seq_lens[i] tokens of every sequence, one sequence after the other.
ACLNN_PLANNED_OP(aclnnGatherPaKvCache,
                 (const Tensor& key_cache, const Tensor& value_cache, const Tensor& block_tables,
                  const Tensor& seq_lens, Tensor& key, Tensor& value, const OptTensor& seq_offset,
                  const std::string& cache_mode, bool seq_lens_are_cumulative)) {
  const bool fractal = IsFractal(cache_mode);
  TORCH_CHECK(!seq_offset, "seq_offset is not supported");
  return [=]() mutable {
    const auto keys = TokensOf(key_cache, fractal), values = TokensOf(value_cache, fractal);
    const auto block_size = keys.size(1);
    const auto lengths = seq_lens.to(at::kLong).contiguous();
    const auto* length = lengths.const_data_ptr<int64_t>();
    int64_t row = 0;
    const auto sequences = block_tables.size(0);
    TORCH_CHECK(seq_lens.numel() >= sequences + (seq_lens_are_cumulative ? 1 : 0), "seqLens has ",
                seq_lens.numel(), " elements, blockTables ", sequences, " rows");
    for (int64_t i = 0; i < sequences; ++i) {
      const auto tokens = seq_lens_are_cumulative ? length[i + 1] - length[i] : length[i];
      const auto positions = at::arange(tokens, at::kLong);
      const auto blocks =
          block_tables[i].to(at::kLong).index_select(0, positions.div(block_size, "floor"));
      const auto offsets = positions.remainder(block_size);
      key.narrow(0, row, tokens)
          .copy_(keys.index({blocks, offsets}).view_as(key.narrow(0, row, tokens)));
      value.narrow(0, row, tokens)
          .copy_(values.index({blocks, offsets}).view_as(value.narrow(0, row, tokens)));
      row += tokens;
    }
  };
}

}  // namespace ascend_sim::opapi
