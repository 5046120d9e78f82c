// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/core/TensorAccessor.h>

#include "slot_mapping.h"

namespace ascend_ops {
namespace {

using Vector = at::TensorAccessor<int64_t, 1>;
using Matrix = at::TensorAccessor<int64_t, 2>;

void check_bounds(const Vector& bounds, int64_t tokens) {
  const auto last = bounds.size(0) - 1;
  TORCH_CHECK_VALUE(bounds[0] == 0 && bounds[last] == tokens,
                    "slot_mapping: query_start_loc must run from 0 to the number of tokens, ",
                    tokens, ", but runs from ", bounds[0], " to ", bounds[last]);
  for (int64_t request = 0; request < last; ++request) {
    TORCH_CHECK_VALUE(bounds[request] <= bounds[request + 1],
                      "slot_mapping: query_start_loc must not fall, but does after request ",
                      request);
  }
}

void check_positions(const Vector& positions, int64_t blocks, int64_t block_size) {
  for (int64_t token = 0; token < positions.size(0); ++token) {
    TORCH_CHECK_VALUE(positions[token] >= 0 && positions[token] / block_size < blocks,
                      "slot_mapping: position ", positions[token], " of token ", token,
                      " is outside the ", blocks, " blocks of ", block_size,
                      " tokens that a row of block_table holds");
  }
}

template <typename Slot>
void fill_slots(const Vector& positions, const Vector& bounds, const Matrix& table,
                int64_t block_size, int64_t pad_id, at::TensorAccessor<Slot, 1> out) {
  for (int64_t request = 0; request + 1 < bounds.size(0); ++request) {
    for (int64_t token = bounds[request]; token < bounds[request + 1]; ++token) {
      const auto block = table[request][positions[token] / block_size];
      out[token] = static_cast<Slot>(block * block_size + positions[token] % block_size);
    }
  }
  for (int64_t row = positions.size(0); row < out.size(0); ++row) {
    out[row] = static_cast<Slot>(pad_id);
  }
}

}  // namespace

void slot_mapping_cpu(const at::Tensor& positions, const at::Tensor& query_start_loc,
                      const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                      int64_t pad_id) {
  check_slot_mapping(positions, query_start_loc, block_table, block_size, out);
  // Copies only what is not int64 yet: this path is the reference, not the fast one.
  const auto positions64 = positions.to(at::kLong);
  const auto bounds64 = query_start_loc.to(at::kLong);
  const auto table64 = block_table.to(at::kLong);
  const auto token_positions = positions64.accessor<int64_t, 1>();
  const auto bounds = bounds64.accessor<int64_t, 1>();
  check_bounds(bounds, positions.size(0));
  check_positions(token_positions, block_table.size(1), block_size);
  AT_DISPATCH_INDEX_TYPES(out.scalar_type(), "slot_mapping", [&] {
    fill_slots(token_positions, bounds, table64.accessor<int64_t, 2>(), block_size, pad_id,
               out.accessor<index_t, 1>());
  });
}

}  // namespace ascend_ops
