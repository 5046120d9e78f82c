// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

namespace ascend_ops {

/// Throws what the Python caller sees as TypeError (dtype) or ValueError (shape, device, layout) if
/// the arguments of slot_mapping do not fit together. Works on symbolic shapes.
void check_slot_mapping(const at::Tensor& positions, const at::Tensor& query_start_loc,
                        const at::Tensor& block_table, int64_t block_size, const at::Tensor& out);

/// One C++ loop over the tokens. Also throws ValueError if the values break the contract.
void slot_mapping_cpu(const at::Tensor& positions, const at::Tensor& query_start_loc,
                      const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                      int64_t pad_id);

/// ATen ops of fixed shape: nothing is read back by the host, so a graph can capture it.
void slot_mapping_npu(const at::Tensor& positions, const at::Tensor& query_start_loc,
                      const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                      int64_t pad_id);

/// Checks only; `out` keeps its shape and dtype.
void slot_mapping_meta(const at::Tensor& positions, const at::Tensor& query_start_loc,
                       const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                       int64_t pad_id);

}  // namespace ascend_ops
