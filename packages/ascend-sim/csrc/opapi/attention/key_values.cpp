// SPDX-License-Identifier: Apache-2.0
#include "opapi/attention/key_values.h"

namespace ascend_sim::opapi {

bool KeyValues::IsPlain() const {
  return rows.dim() == 4 && !rope.defined() && !prefix.defined() && !scale;
}

int64_t KeyValues::size() const {
  const auto of = [](const Tensor& t) { return t.size(3) * (t.dim() == 5 ? t.size(4) : 1); };
  return of(rows) + (rope.defined() ? of(rope) : 0);
}

// [length, heads, size]: the tokens of a sequence without its prefix.
Tensor KeyValues::Own(const Tensor& from, const AttentionSequence& sequence, int64_t length) const {
  Tensor tokens;
  if (block_table.defined()) {
    const auto used = (length + block_size - 1) / block_size;
    const auto blocks = block_table[sequence.batch].slice(0, 0, used).to(at::kLong);
    TORCH_CHECK(
        used == 0 ||
            (blocks.min().item().toLong() >= 0 && blocks.max().item().toLong() < from.size(0)),
        "blockTable[", sequence.batch, "] names a block outside the cache's ", from.size(0));
    tokens = from.index_select(0, blocks).flatten(0, 1).slice(0, 0, length);
  } else {
    tokens = from.select(0, from.size(0) == 1 ? 0 : sequence.batch)
                 .slice(0, sequence.kv_begin, sequence.kv_begin + length);
  }
  return tokens.dim() == 4 ? tokens.flatten(2) : tokens;
}

// Scales or offsets so that they broadcast over `like`, [tokens, heads, size].
Tensor KeyValues::Spread(const Tensor& factors, const AttentionSequence& sequence,
                         const Tensor& like) const {
  const auto tokens = like.size(0), heads = like.size(1);
  const auto values = factors.to(at::kFloat);
  switch (scaling) {
    case Scaling::kChannel:
      return values.numel() == 1 ? values.reshape({1, 1, 1})
                                 : values.reshape({1, heads, like.size(2)});
    case Scaling::kToken:
      return values.reshape({sequences, -1, 1, 1})[sequence.batch].slice(0, 0, tokens);
    case Scaling::kHead:
      return values.reshape({1, heads, 1});
    case Scaling::kTokenAndHead:
      return values.reshape({sequences, heads, -1, 1})[sequence.batch].transpose(0, 1).slice(
          0, 0, tokens);
  }
  return values;
}

Tensor KeyValues::Gather(const AttentionSequence& sequence, at::ScalarType type) const {
  const auto length = sequence.kv_length - prefix_length();
  auto tokens = Own(rows, sequence, length);
  if (scale) {
    auto values = tokens.to(at::kFloat);
    if (offset) values = values + Spread(*offset, sequence, values);
    tokens = values * Spread(*scale, sequence, values);
  }
  tokens = tokens.to(type);
  if (rope.defined()) tokens = at::cat({tokens, Own(rope, sequence, length).to(type)}, -1);
  if (prefix.defined()) tokens = at::cat({prefix[0], tokens}, 0);
  return tokens.unsqueeze(0);
}

}  // namespace ascend_sim::opapi
