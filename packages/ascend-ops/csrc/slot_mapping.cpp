// SPDX-License-Identifier: Apache-2.0
#include "slot_mapping.h"

namespace ascend_ops {
namespace {

void check_tensor(const at::Tensor& tensor, const char* name, int64_t dim, c10::Device device) {
  const auto dtype = tensor.scalar_type();
  TORCH_CHECK_TYPE(dtype == at::kInt || dtype == at::kLong, "slot_mapping: ", name,
                   " must be int32 or int64, but is ", dtype);
  TORCH_CHECK_VALUE(tensor.dim() == dim, "slot_mapping: ", name, " must have ", dim,
                    dim == 1 ? " dimension" : " dimensions", ", but has shape ",
                    tensor.sym_sizes());
  TORCH_CHECK_VALUE(tensor.device() == device,
                    "slot_mapping: all tensors must be on one device, but ", name, " is on ",
                    tensor.device(), " and out is on ", device);
}

bool at_least(const c10::SymInt& size, const c10::SymInt& minimum) {
  return size.sym_ge(minimum).expect_true(__FILE__, __LINE__);
}

}  // namespace

void check_slot_mapping(const at::Tensor& positions, const at::Tensor& query_start_loc,
                        const at::Tensor& block_table, int64_t block_size, const at::Tensor& out) {
  const auto device = out.device();
  check_tensor(positions, "positions", 1, device);
  check_tensor(query_start_loc, "query_start_loc", 1, device);
  check_tensor(block_table, "block_table", 2, device);
  check_tensor(out, "out", 1, device);
  TORCH_CHECK_VALUE(block_size > 0, "slot_mapping: block_size must be positive, but is ",
                    block_size);

  const auto bounds = query_start_loc.sym_size(0);
  TORCH_CHECK_VALUE(
      at_least(bounds, 2),
      "slot_mapping: query_start_loc must have one entry more than there are requests, "
      "so at least 2, but has ",
      bounds);
  TORCH_CHECK_VALUE(at_least(block_table.sym_size(0), bounds - 1), "slot_mapping: block_table has ",
                    block_table.sym_size(0), " rows for ", bounds - 1, " requests");
  TORCH_CHECK_VALUE(at_least(out.sym_size(0), positions.sym_size(0)), "slot_mapping: out has ",
                    out.sym_size(0), " elements for ", positions.sym_size(0), " tokens");
}

void slot_mapping_meta(const at::Tensor& positions, const at::Tensor& query_start_loc,
                       const at::Tensor& block_table, int64_t block_size, at::Tensor& out,
                       int64_t /*pad_id*/) {
  check_slot_mapping(positions, query_start_loc, block_table, block_size, out);
}

}  // namespace ascend_ops
