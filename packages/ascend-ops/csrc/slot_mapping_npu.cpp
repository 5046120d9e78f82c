// SPDX-License-Identifier: Apache-2.0
#include <ATen/ops/add.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/floor_divide.h>
#include <ATen/ops/index.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sub.h>

#include "slot_mapping.h"

// ATen ops rather than aclnn calls: torch_npu queues ops for another thread, so calls made past its
// queue would overtake them, and its queue's C++ interface is private. What that interface would
// save is measured in the README.

namespace ascend_ops {

void slot_mapping_npu(const at::Tensor& positions, const at::Tensor& query_start_loc,
                      const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                      int64_t pad_id) {
  check_slot_mapping(positions, query_start_loc, block_table, block_size, out);
  const auto tokens = positions.size(0);
  const auto padding = out.size(0) - tokens;
  if (padding > 0) out.narrow(0, tokens, padding).fill_(pad_id);
  if (tokens == 0) return;

  // The request of token t is the number of requests that end at or before t. A search finds it
  // with a result of fixed shape; repeat_interleave would have to ask the device how long its
  // result is.
  const auto token = at::arange(tokens, query_start_loc.options());
  const auto request = at::searchsorted(query_start_loc.slice(0, 1), token, /*out_int32=*/false,
                                        /*right=*/true);
  const auto position = positions.to(at::kLong);
  const auto column = at::floor_divide(position, block_size);
  const auto block = at::index(block_table, {request, column});

  // slot = block * size + position % size = position + (block - column) * size: one op less than
  // with the remainder.
  auto slots = out.narrow(0, 0, tokens);
  at::add_out(slots, position, at::sub(block, column), block_size);
}

}  // namespace ascend_ops
