// SPDX-License-Identifier: Apache-2.0
#include <ATen/Dispatch.h>
#include <ATen/core/TensorAccessor.h>

#include "slot_mapping.h"

namespace ascend_ops {
namespace {

/// The tensors as int64, whatever they were: this path is the reference, not the fast one.
struct Batch {
  at::Tensor positions, query_start_loc, block_table;
  int64_t block_size;
};

template <typename Slot>
void fill_slots(const Batch& batch, at::TensorAccessor<Slot, 1> out, Slot pad_id) {
  const auto positions = batch.positions.accessor<int64_t, 1>();
  const auto bounds = batch.query_start_loc.accessor<int64_t, 1>();
  const auto table = batch.block_table.accessor<int64_t, 2>();

  TORCH_CHECK_VALUE(bounds[0] == 0 && bounds[bounds.size(0) - 1] == positions.size(0),
                    "slot_mapping: query_start_loc must run from 0 to the number of tokens, ",
                    positions.size(0), ", but runs from ", bounds[0], " to ",
                    bounds[bounds.size(0) - 1]);
  for (int64_t request = 0; request + 1 < bounds.size(0); ++request) {
    TORCH_CHECK_VALUE(bounds[request] <= bounds[request + 1],
                      "slot_mapping: query_start_loc must not fall, but does after request ",
                      request);
    for (int64_t token = bounds[request]; token < bounds[request + 1]; ++token) {
      const auto position = positions[token];
      const auto column = position / batch.block_size;
      TORCH_CHECK_VALUE(position >= 0 && column < table.size(1), "slot_mapping: position ", position,
                        " of request ", request, " is outside its ", table.size(1), " blocks of ",
                        batch.block_size, " tokens");
      out[token] = static_cast<Slot>(table[request][column] * batch.block_size +
                                     position % batch.block_size);
    }
  }
  for (int64_t row = positions.size(0); row < out.size(0); ++row) out[row] = pad_id;
}

}  // namespace

void slot_mapping_cpu(const at::Tensor& positions, const at::Tensor& query_start_loc,
                      const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                      int64_t pad_id) {
  check_slot_mapping(positions, query_start_loc, block_table, block_size, out);
  const Batch batch{positions.to(at::kLong), query_start_loc.to(at::kLong),
                    block_table.to(at::kLong), block_size};
  AT_DISPATCH_INDEX_TYPES(out.scalar_type(), "slot_mapping", [&] {
    fill_slots(batch, out.accessor<index_t, 1>(), static_cast<index_t>(pad_id));
  });
}

}  // namespace ascend_ops
