// SPDX-License-Identifier: Apache-2.0
//
// Order: sort, top-k, order statistics.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

// ATen's out= forms require int64 indices and the dtype of the values.
bool Direct(const Tensor& self, const Tensor& values, const Tensor& indices) {
  return values.scalar_type() == self.scalar_type() && indices.scalar_type() == at::kLong;
}

}  // namespace

ACLNN_OP(aclnnSort, (const Tensor& self, bool stable, int64_t dim, bool descending, Tensor& values,
                     Tensor& indices)) {
  if (Direct(self, values, indices)) {
    at::sort_out(values, indices, self, std::optional<bool>(stable), dim, descending);
  } else {
    StorePair(values, indices, at::sort(self, std::optional<bool>(stable), dim, descending));
  }
}
ACLNN_OP(aclnnTopk, (const Tensor& self, int64_t k, int64_t dim, bool largest, bool sorted,
                     Tensor& values, Tensor& indices)) {
  if (Direct(self, values, indices)) {
    at::topk_out(values, indices, self, k, dim, largest, sorted);
  } else {
    StorePair(values, indices, at::topk(self, k, dim, largest, sorted));
  }
}
ACLNN_OP(aclnnKthvalue, (const Tensor& self, int64_t k, int64_t dim, bool keepdim, Tensor& values,
                         Tensor& indices)) {
  StorePair(values, indices, at::kthvalue(self, k, dim, keepdim));
}
ACLNN_OP(aclnnMedian, (const Tensor& self, Tensor& out)) { Store(out, at::median(self)); }
ACLNN_OP(aclnnNanMedian, (const Tensor& self, Tensor& out)) { Store(out, at::nanmedian(self)); }
// ATen reads beyond the end of an expanded tensor here.
ACLNN_OP(aclnnMedianDim,
         (const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::median(self.contiguous(), dim, keepdim));
}
ACLNN_OP(aclnnNanMedianDim,
         (const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::nanmedian(self.contiguous(), dim, keepdim));
}

}  // namespace ascend_sim::opapi
