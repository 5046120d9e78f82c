// SPDX-License-Identifier: Apache-2.0
//
// Embeddings: sums over bags, renormalization, and the gradient.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/places.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {

// torch_npu allocates an empty `offset2bag` where the gradient does not need one.
ACLNN_OP(aclnnEmbeddingBag,
         (const Tensor& weight, const Tensor& indices, const Tensor& offsets,
          bool scale_grad_by_freq, int64_t mode, bool sparse, const OptTensor& per_sample_weights,
          bool include_last_offset, int64_t padding_idx, Tensor& out, Tensor& offset2bag,
          Tensor& bag_size, Tensor& max_indices)) {
  auto [result, bags, sizes, maxima] =
      at::_embedding_bag(weight, indices, offsets.to(indices.scalar_type()), scale_grad_by_freq,
                         mode, sparse, per_sample_weights, include_last_offset, padding_idx);
  Store(out, result);
  if (offset2bag.numel() == bags.numel()) Store(offset2bag, bags);
  if (bag_size.numel() == sizes.numel()) Store(bag_size, sizes);
  if (max_indices.numel() == maxima.numel()) Store(max_indices, maxima);
}
ACLNN_OP(aclnnEmbeddingDenseBackward,
         (const Tensor& grad, const Tensor& indices, int64_t num_weights, int64_t padding_idx,
          bool scale_grad_by_freq, Tensor& out)) {
  Store(out, at::embedding_dense_backward(Wide(grad), PlacesAmong(num_weights, indices, "indices"),
                                          num_weights, padding_idx, scale_grad_by_freq));
}
ACLNN_OP(aclnnEmbeddingRenorm,
         (Tensor & self, const Tensor& indices, double max_norm, double norm_type)) {
  at::embedding_renorm_(self, indices.contiguous(), max_norm, norm_type);
}

}  // namespace ascend_sim::opapi
