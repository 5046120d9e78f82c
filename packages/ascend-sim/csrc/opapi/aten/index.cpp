// SPDX-License-Identifier: Apache-2.0
//
// Indexing: gather, scatter, index_put, masks, and lookups.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

// torch_npu marks a dimension without an index by an empty tensor of self's dtype. An empty int64
// index into an int64 tensor looks the same; if every slot is empty, they are indices.
c10::List<OptTensor> IndexList(const Tensor& self, const Tensors& indices) {
  const auto is_placeholder = [&](const Tensor& index) {
    return !index.defined() ||
           (index.dim() == 1 && index.numel() == 0 && index.scalar_type() == self.scalar_type());
  };
  const bool all_empty = std::all_of(indices.begin(), indices.end(), is_placeholder);
  c10::List<OptTensor> list;
  list.reserve(indices.size());
  for (const auto& index : indices) {
    list.push_back(!index.defined() || (!all_empty && is_placeholder(index)) ? std::nullopt
                                                                             : OptTensor(index));
  }
  return list;
}

bool SelectsNothing(const c10::List<OptTensor>& indices) {
  return std::any_of(indices.begin(), indices.end(), [](const OptTensor& index) {
    return index.has_value() && index->numel() == 0;
  });
}

// The reductions of aclnnScatter by number.
std::optional<std::string_view> ScatterReduction(int64_t reduction) {
  switch (reduction) {
    case 0:
      return std::nullopt;
    case 1:
      return "add";
    case 2:
      return "multiply";
    default:
      TORCH_CHECK(false, "reduce must be 0 (none), 1 (add) or 2 (multiply), got ", reduction);
  }
}

// The reductions of aclnnScatterReduce by number.
std::string_view ReduceName(int64_t reduction) {
  switch (reduction) {
    case 1:
      return "sum";
    case 2:
      return "prod";
    case 3:
      return "amax";
    case 4:
      return "amin";
    case 5:
      return "mean";
    default:
      TORCH_CHECK(false, "reduce must be 1 (sum), 2 (prod), 3 (amax), 4 (amin) or 5 (mean), got ",
                  reduction);
  }
}

// scatter_ reads `src` with index's shape; `self` is the output's old content.
template <class Source>
void ScatterInto(Tensor& out, int64_t dim, const Tensor& index, const Source& src,
                 int64_t reduction) {
  const auto reduce = ScatterReduction(reduction);
  if (!reduce) {
    out.scatter_(dim, index, src);
    return;
  }
  Accumulate(out, [&](Tensor& sums) {
    if constexpr (std::is_same_v<Source, Tensor>) {
      sums.scatter_(dim, index, src.to(sums.scalar_type()), *reduce);
    } else {
      sums.scatter_(dim, index, src, *reduce);
    }
  });
}

// Outputs that start as a copy of an input, unless they already are that input.
void StartAs(Tensor& out, const Tensor& self) {
  if (out.data_ptr() != self.data_ptr()) Store(out, self);
}

void AddRows(Tensor& out, int64_t dim, const Tensor& index, const Tensor& source,
             const Scalar& alpha) {
  Accumulate(out, [&](Tensor& sums) {
    sums.index_add_(dim, index, source.to(sums.scalar_type()), alpha);
  });
}

Tensor IndexTensor(const Ints& values) { return at::tensor(values, at::kLong); }

}  // namespace

// --- advanced indexing --------------------------------------------------------------------------

ACLNN_OP(aclnnIndex, (const Tensor& self, const Tensors& indices, Tensor& out)) {
  if (out.numel() == 0) return;
  at::index_out(out, self, IndexList(self, indices));
}
ACLNN_OP(aclnnIndexPutImpl, (Tensor & self, const Tensors& indices, const Tensor& values,
                             bool accumulate, bool unsafe)) {
  const auto list = IndexList(self, indices);
  if (values.numel() == 0 || SelectsNothing(list)) return;
  if (!accumulate) {
    at::_index_put_impl_(self, list, values, accumulate, unsafe);
    return;
  }
  Accumulate(self, [&](Tensor& sums) {
    at::_index_put_impl_(sums, list, values.to(sums.scalar_type()), accumulate, unsafe);
  });
}

// --- one index dimension ------------------------------------------------------------------------

ACLNN_OP(aclnnIndexSelect, (const Tensor& self, int64_t dim, const Tensor& index, Tensor& out)) {
  at::index_select_out(out, self, dim, index);
}
ACLNN_OP(aclnnEmbedding, (const Tensor& weight, const Tensor& indices, Tensor& out)) {
  // index_select writes directly into `out`, as a matrix with one row per index.
  auto rows = out.view({indices.numel(), weight.size(1)});
  at::index_select_out(rows, weight, 0, indices.reshape({-1}));
}
ACLNN_OP(aclnnGather, (const Tensor& self, int64_t dim, const Tensor& index, Tensor& out)) {
  at::gather_out(out, self, dim, index.scalar_type() == at::kLong ? index : index.to(at::kLong));
}
ACLNN_OP(aclnnTake, (const Tensor& self, const Tensor& index, Tensor& out)) {
  at::take_out(out, self, index);
}
ACLNN_OP(aclnnInplacePut,
         (Tensor & self, const Tensor& index, const Tensor& source, bool accumulate)) {
  const auto places = index.to(at::kLong);
  if (!accumulate) {
    self.put_(places, source);
    return;
  }
  Accumulate(self,
             [&](Tensor& sums) { sums.put_(places, source.to(sums.scalar_type()), accumulate); });
}
ACLNN_OP(aclnnIndexAdd, (const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
                         const Scalar& alpha, Tensor& out)) {
  StartAs(out, self);
  AddRows(out, dim, index, source, alpha);
}
ACLNN_OP(aclnnIndexAddV2,
         (const Tensor& self, int64_t dim, const Tensor& index, const Tensor& source,
          const Scalar& alpha, int64_t /*mode*/, Tensor& out)) {
  StartAs(out, self);
  AddRows(out, dim, index, source, alpha);
}
ACLNN_OP(aclnnIndexCopy, (const Tensor& self, int64_t dim, const Tensor& index,
                          const Tensor& source, Tensor& out)) {
  StartAs(out, self);
  out.index_copy_(dim, index, source);
}
ACLNN_OP(aclnnInplaceIndexCopy,
         (Tensor & self, int64_t dim, const Tensor& index, const Tensor& source)) {
  self.index_copy_(dim, index, source);
}
ACLNN_OP(aclnnIndexFill,
         (const Tensor& self, int64_t dim, const Tensor& index, const Scalar& value, Tensor& out)) {
  StartAs(out, self);
  out.index_fill_(dim, index, value);
}
ACLNN_OP(aclnnInplaceIndexFill,
         (Tensor & self, int64_t dim, const Tensor& index, const Scalar& value)) {
  self.index_fill_(dim, index, value);
}
ACLNN_OP(aclnnIndexFillTensor,
         (const Tensor& self, int64_t dim, const Ints& index, const Scalar& value, Tensor& out)) {
  StartAs(out, self);
  out.index_fill_(dim, IndexTensor(index), value);
}
ACLNN_OP(aclnnInplaceIndexFillTensor,
         (Tensor & self, int64_t dim, const Ints& index, const Scalar& value)) {
  self.index_fill_(dim, IndexTensor(index), value);
}

// --- scatter ------------------------------------------------------------------------------------

ACLNN_OP(aclnnScatter, (const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
                        int64_t reduction, Tensor& out)) {
  StartAs(out, self);
  ScatterInto(out, dim, index, src, reduction);
}
ACLNN_OP(aclnnScatterValue, (const Tensor& self, int64_t dim, const Tensor& index,
                             const Scalar& value, int64_t reduction, Tensor& out)) {
  StartAs(out, self);
  ScatterInto(out, dim, index, value, reduction);
}
ACLNN_OP(aclnnInplaceScatter,
         (Tensor & self, int64_t dim, const Tensor& index, const Tensor& src, int64_t reduction)) {
  ScatterInto(self, dim, index, src, reduction);
}
ACLNN_OP(aclnnInplaceScatterValue, (Tensor & self, int64_t dim, const Tensor& index,
                                    const Scalar& value, int64_t reduction)) {
  ScatterInto(self, dim, index, value, reduction);
}
ACLNN_OP(aclnnScatterAdd,
         (const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src, Tensor& out)) {
  StartAs(out, self);
  out.scatter_add_(dim, index, src);
}
ACLNN_OP(aclnnScatterReduce,
         (const Tensor& self, int64_t dim, const Tensor& index, const Tensor& src,
          int64_t reduction, bool include_self, Tensor& out)) {
  StartAs(out, self);
  out.scatter_reduce_(dim, index, src, ReduceName(reduction), include_self);
}
ACLNN_OP(aclnnInplaceScatterReduce, (Tensor & self, int64_t dim, const Tensor& index,
                                     const Tensor& src, int64_t reduction, bool include_self)) {
  self.scatter_reduce_(dim, index, src, ReduceName(reduction), include_self);
}
// self[index[..., :]] = updates[...], the last dimension of `indices` being a coordinate.
ACLNN_OP(aclnnScatterNdUpdate, (Tensor & self, const Tensor& indices, const Tensor& updates)) {
  c10::List<OptTensor> list;
  for (const auto& coordinate : indices.to(at::kLong).unbind(-1)) list.push_back(coordinate);
  self.index_put_(list, updates);
}

// --- masks --------------------------------------------------------------------------------------

ACLNN_OP(aclnnInplaceMaskedFillScalar, (Tensor & self, const Tensor& mask, const Scalar& value)) {
  self.masked_fill_(mask, value);
}
ACLNN_OP(aclnnInplaceMaskedFillTensor, (Tensor & self, const Tensor& mask, const Tensor& value)) {
  self.masked_fill_(mask, value.reshape({}));
}
ACLNN_OP(aclnnInplaceMaskedScatter, (Tensor & self, const Tensor& mask, const Tensor& source)) {
  self.masked_scatter_(mask, source);
}

// --- data-dependent shapes ----------------------------------------------------------------------

ACLNN_OP(aclnnMaskedSelect, (const Tensor& self, const Tensor& mask, ShapedTensor& out)) {
  out.Store(at::masked_select(self, mask));
}
ACLNN_OP(aclnnNonzero, (const Tensor& self, ShapedTensor& out)) { out.Store(at::nonzero(self)); }
// As aclnnNonzero, one row per dimension.
ACLNN_OP(aclnnNonzeroV2, (const Tensor& self, ShapedTensor& out)) {
  out.Store(at::nonzero(self).t().contiguous());
}
ACLNN_OP(aclnnUnique, (const Tensor& self, bool sorted, bool return_inverse, ShapedTensor& values,
                       Tensor& inverse)) {
  auto [unique, unique_inverse] = at::_unique(self, sorted, return_inverse);
  values.Store(unique);
  if (return_inverse) Store(inverse, unique_inverse);
}
ACLNN_OP(aclnnUnique2, (const Tensor& self, bool sorted, bool return_inverse, bool return_counts,
                        ShapedTensor& values, Tensor& inverse, ShapedTensor& counts)) {
  auto [unique, unique_inverse, unique_counts] =
      at::_unique2(self, sorted, /*return_inverse=*/true, return_counts);
  values.Store(unique);
  // torch_npu allocates the inverse when either is asked for, and returns it.
  if (return_inverse || return_counts) Store(inverse, unique_inverse);
  if (return_counts) counts.Store(unique_counts);
}
ACLNN_OP(aclnnUniqueDim, (const Tensor& self, bool sorted, bool return_inverse, int64_t dim,
                          ShapedTensor& values, Tensor& inverse, ShapedTensor& counts)) {
  auto [unique, unique_inverse, unique_counts] =
      at::unique_dim(self, dim, sorted, return_inverse, /*return_counts=*/true);
  values.Store(unique);
  if (return_inverse) Store(inverse, unique_inverse);
  counts.Store(unique_counts);
}
ACLNN_OP(aclnnUniqueConsecutive,
         (const Tensor& self, bool return_inverse, bool return_counts, int64_t dim,
          ShapedTensor& values, Tensor& inverse, ShapedTensor& counts)) {
  constexpr int64_t kFlattened = 1000;  // torch_npu's value for "no dimension"
  auto [unique, unique_inverse, unique_counts] = at::unique_consecutive(
      self, return_inverse, return_counts, dim == kFlattened ? std::nullopt : std::optional(dim));
  values.Store(unique);
  if (return_inverse) Store(inverse, unique_inverse);
  if (return_counts) counts.Store(unique_counts);
}

// --- lookups ------------------------------------------------------------------------------------

ACLNN_OP(aclnnSearchSorted, (const Tensor& sorted, const Tensor& values, bool int32_out, bool right,
                             const OptTensor& sorter, Tensor& out)) {
  Store(out, at::searchsorted(sorted, values, int32_out, right, std::nullopt, sorter));
}
ACLNN_OP(aclnnSearchSorteds, (const Tensor& sorted, const Scalar& value, bool int32_out, bool right,
                              const OptTensor& sorter, Tensor& out)) {
  Store(out, at::searchsorted(sorted, value, int32_out, right, std::nullopt, sorter));
}
ACLNN_OP(aclnnBucketize,
         (const Tensor& self, const Tensor& boundaries, bool int32_out, bool right, Tensor& out)) {
  Store(out, at::bucketize(self, boundaries, int32_out, right));
}

}  // namespace ascend_sim::opapi
