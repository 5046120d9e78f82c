// SPDX-License-Identifier: Apache-2.0
//
// Updates of part of a tensor, for each batch from its own index on: how key/value caches that are
// not paged are written.
#include "opapi/abi/op.h"
#include "opapi/numerics/places.h"

namespace ascend_sim::opapi {

// indices: none or [n], places along `axis` of the first batches; [n, 2], a batch and a place each.
ACLNN_PLANNED_OP(aclnnInplaceScatterUpdate,
                 (Tensor & data, const Tensor& indices, const Tensor& updates, int64_t axis)) {
  const auto rank = data.dim();
  Require(rank >= 2 && updates.dim() == rank, "data and updates must have the same number of ",
          "dimensions, 2 or more, got ", rank, " and ", updates.dim());
  Require(-rank < axis && axis < rank && axis != 0, "axis must be from ", 1 - rank, " to ",
          rank - 1, " and not 0, got ", axis);
  const auto along = axis < 0 ? axis + rank : axis;
  Require(data.numel() > 0 && updates.numel() > 0 && indices.numel() > 0,
          "data, indices and updates must not be empty");
  Require(indices.dim() <= 2 && (indices.dim() < 2 || indices.size(1) == 2),
          "indices must be a number, [n] or [n, 2], got ", indices.sizes());
  const auto count = indices.dim() == 0 ? 1 : indices.size(0);
  Require(updates.size(0) == count && count <= data.size(0), "updates must have ", count,
          " batches, as indices has, and data as many or more, got ", updates.size(0), " and ",
          data.size(0));
  for (int64_t dim = 1; dim < rank; ++dim) {
    const bool fits =
        dim == along ? updates.size(dim) <= data.size(dim) : updates.size(dim) == data.size(dim);
    Require(fits, "updates of shape ", updates.sizes(), " do not fit into data of shape ",
            data.sizes(), " but for dimensions 0 and ", along);
  }
  return [=]() mutable {
    const auto length = updates.size(along);
    const auto rows = indices.dim() == 2 ? indices.select(1, 1) : indices.reshape({-1});
    const auto places = PlacesAmong(data.size(along) - length + 1, rows, "indices").contiguous();
    const auto batches = indices.dim() == 2
                             ? PlacesAmong(data.size(0), indices.select(1, 0), "indices")
                             : at::arange(count, at::kLong);
    for (int64_t i = 0; i < count; ++i) {
      const auto place = places.const_data_ptr<int64_t>()[i];
      data.select(0, batches[i].item<int64_t>()).narrow(along - 1, place, length).copy_(updates[i]);
    }
  };
}

}  // namespace ascend_sim::opapi
