// SPDX-License-Identifier: Apache-2.0
//
// Linear algebra and distances.
#include <ATen/ExpandUtils.h>

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {

// --- factorisations and solutions ---------------------------------------------------------------

ACLNN_OP(aclnnInverse, (const Tensor& self, Tensor& out)) { Store(out, at::inverse(Wide(self))); }
ACLNN_OP(aclnnLinalgCholesky, (const Tensor& self, bool upper, Tensor& out)) {
  Store(out, at::linalg_cholesky(Wide(self), upper));
}
// 0 is "reduced", 1 "complete", 2 only R.
ACLNN_OP(aclnnLinalgQr, (const Tensor& self, int64_t mode, Tensor& q, Tensor& r)) {
  TORCH_CHECK(mode >= 0 && mode <= 2, "mode must be 0, 1 or 2, got ", mode);
  auto [orthogonal, triangular] = at::linalg_qr(Wide(self), mode == 0   ? "reduced"
                                                            : mode == 1 ? "complete"
                                                                        : "r");
  if (mode != 2) Store(q, orthogonal);
  Store(r, triangular);
}
ACLNN_OP(aclnnSvd, (const Tensor& self, bool full_matrices, bool compute_uv, Tensor& s, Tensor& u,
                    Tensor& v)) {
  if (!compute_uv) {
    Store(s, at::linalg_svdvals(self));
    return;
  }
  auto [left, values, right] = at::linalg_svd(self, full_matrices);
  Store(u, left);
  Store(s, values);
  Store(v, right.mH());
}
ACLNN_OP(aclnnSlogdet, (const Tensor& self, Tensor& sign, Tensor& logarithm)) {
  StorePair(sign, logarithm, at::slogdet(self));
}
// Solves a @ x = self.
ACLNN_OP(aclnnTriangularSolve, (const Tensor& self, const Tensor& a, bool upper, bool transpose,
                                bool unitriangular, Tensor& x, Tensor& a_copy)) {
  StorePair(x, a_copy, at::triangular_solve(self, a, upper, transpose, unitriangular));
}
ACLNN_OP(aclnnLinalgCross, (const Tensor& self, const Tensor& other, int64_t dim, Tensor& out)) {
  Store(out, at::linalg_cross(self, other, dim));
}

// --- distances ----------------------------------------------------------------------------------

namespace {

// [..., rows of x1, rows of x2]
std::vector<int64_t> DistancesOf(const Tensor& x1, const Tensor& x2) {
  Require(x1.dim() >= 2 && x2.dim() >= 2, "x1 and x2 must have 2 dimensions or more");
  auto sizes = at::infer_size(x1.sizes().slice(0, x1.dim() - 2), x2.sizes().slice(0, x2.dim() - 2));
  sizes.push_back(x1.size(-2));
  sizes.push_back(x2.size(-2));
  return sizes;
}

void RequireSizes(const Tensor& tensor, at::IntArrayRef sizes, const char* name) {
  Require(tensor.sizes() == sizes, name, " must be ", sizes, ", got ", tensor.sizes());
}

}  // namespace

ACLNN_OP(aclnnCdist, (const Tensor& x1, const Tensor& x2, float p, int64_t mode, Tensor& out)) {
  Store(out, at::cdist(Wide(x1), Wide(x2), p, mode));
}
// The gradient of x1; that of x2 is another call, with the operands exchanged. ATen reads `grad`
// and `distance` by the sizes of x1 and x2.
ACLNN_PLANNED_OP(aclnnCdistBackward, (const Tensor& grad, const Tensor& x1, const Tensor& x2,
                                      const Tensor& distance, float p, Tensor& out)) {
  const auto sizes = DistancesOf(x1, x2);
  RequireSizes(grad, sizes, "grad");
  RequireSizes(distance, sizes, "cdist");
  return [=]() mutable {
    Store(out, at::_cdist_backward(Wide(grad), Wide(x1), Wide(x2), p, Wide(distance)));
  };
}
ACLNN_OP(aclnnPdist, (const Tensor& self, float p, Tensor& out)) {
  Store(out, at::pdist(Wide(self), p));
}
ACLNN_OP(aclnnInplaceRenorm,
         (Tensor & self, const Scalar& p, int64_t dim, const Scalar& max_norm)) {
  self.renorm_(p, dim, max_norm);
}

}  // namespace ascend_sim::opapi
