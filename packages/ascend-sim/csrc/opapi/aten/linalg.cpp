// SPDX-License-Identifier: Apache-2.0
//
// Linear algebra and distances.
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

ACLNN_OP(aclnnCdist, (const Tensor& x1, const Tensor& x2, float p, int64_t mode, Tensor& out)) {
  Store(out, at::cdist(Wide(x1), Wide(x2), p, mode));
}
ACLNN_OP(aclnnPdist, (const Tensor& self, float p, Tensor& out)) {
  Store(out, at::pdist(Wide(self), p));
}
ACLNN_OP(aclnnInplaceRenorm,
         (Tensor & self, const Scalar& p, int64_t dim, const Scalar& max_norm)) {
  self.renorm_(p, dim, max_norm);
}

}  // namespace ascend_sim::opapi
