// SPDX-License-Identifier: Apache-2.0
//
// Matrix products. The right-hand matrix, a weight, may be in FRACTAL_NZ; the ...WeightNz operators
// require it.
#include "cube.h"
#include "op.h"
#include "store.h"

namespace ascend_sim::opapi {
namespace {

bool SameType(const Tensor& a, const Tensor& b, const Tensor& c) {
  return a.scalar_type() == b.scalar_type() && b.scalar_type() == c.scalar_type();
}

// As BLAS does for the CPU's own F.linear: straight into `out` where dtypes allow, else through the
// wider one.
void MatmulInto(Tensor& out, const Tensor& self, const Tensor& other) {
  if (SameType(self, other, out)) {
    auto result = at::alias(out);  // ATen folds batches by resizing it to a matrix and back
    at::matmul_out(result, self, other);
    TORCH_CHECK(result.sizes() == out.sizes(), "out has shape ", out.sizes(),
                ", the product has shape ", result.sizes());
  } else {
    const auto type = at::promote_types(self.scalar_type(), other.scalar_type());
    Store(out, at::matmul(self.to(type), other.to(type)));
  }
}

// out = beta * self + alpha * (mat1 @ mat2), where `self` may have another dtype (a float32 bias).
void AddmmInto(Tensor& out, const Tensor& self, const Tensor& mat1, const Tensor& mat2,
               const Scalar& beta, const Scalar& alpha) {
  if (SameType(mat1, mat2, out)) {
    at::addmm_out(out, self.to(out.scalar_type()), mat1, mat2, beta, alpha);
  } else {
    const auto type = at::promote_types(mat1.scalar_type(), mat2.scalar_type());
    Store(out, at::addmm(self.to(type), mat1.to(type), mat2.to(type), beta, alpha));
  }
}

void RequireFractal(const FormattedTensor& mat2) {
  Require(mat2.fractal(), "mat2 must be in format FRACTAL_NZ (29): torch_npu.npu_format_cast");
}

}  // namespace

ACLNN_OP(aclnnMatmul,
         (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  MatmulInto(out, cube(self), cube(mat2.Read()));
}
ACLNN_OP(aclnnMm,
         (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  MatmulInto(out, cube(self), cube(mat2.Read()));
}
ACLNN_OP(aclnnBatchMatMul,
         (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  MatmulInto(out, cube(self), cube(mat2.Read()));
}
ACLNN_PLANNED_OP(aclnnMatmulWeightNz,
                 (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  RequireFractal(mat2);
  return [=]() mutable { MatmulInto(out, cube(self), cube(mat2.Read())); };
}
ACLNN_PLANNED_OP(aclnnBatchMatMulWeightNz,
                 (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  RequireFractal(mat2);
  return [=]() mutable { MatmulInto(out, cube(self), cube(mat2.Read())); };
}
ACLNN_OP(aclnnMv, (const Tensor& self, const Tensor& vec, Tensor& out, const Cube& cube)) {
  MatmulInto(out, cube(self), cube(vec));
}
ACLNN_OP(aclnnDot, (const Tensor& self, const Tensor& other, Tensor& out)) {
  Store(out, at::dot(self, other));
}
ACLNN_OP(aclnnAddmm, (const Tensor& self, const Tensor& mat1, const FormattedTensor& mat2,
                      const Scalar& beta, const Scalar& alpha, Tensor& out, const Cube& cube)) {
  AddmmInto(out, self, cube(mat1), cube(mat2.Read()), beta, alpha);
}
ACLNN_PLANNED_OP(aclnnAddmmWeightNz,
                 (const Tensor& self, const Tensor& mat1, const FormattedTensor& mat2,
                  const Scalar& beta, const Scalar& alpha, Tensor& out, const Cube& cube)) {
  RequireFractal(mat2);
  return [=]() mutable { AddmmInto(out, self, cube(mat1), cube(mat2.Read()), beta, alpha); };
}
ACLNN_OP(aclnnInplaceAddmm, (Tensor & self, const Tensor& mat1, const Tensor& mat2,
                             const Scalar& beta, const Scalar& alpha, const Cube& cube)) {
  AddmmInto(self, self, cube(mat1), cube(mat2), beta, alpha);
}
ACLNN_OP(aclnnBaddbmm, (const Tensor& self, const Tensor& batch1, const Tensor& batch2,
                        const Scalar& beta, const Scalar& alpha, Tensor& out, const Cube& cube)) {
  at::baddbmm_out(out, self, cube(batch1), cube(batch2), beta, alpha);
}
ACLNN_OP(aclnnAddbmm, (const Tensor& self, const Tensor& batch1, const Tensor& batch2,
                       const Scalar& beta, const Scalar& alpha, Tensor& out, const Cube& cube)) {
  at::addbmm_out(out, self, cube(batch1), cube(batch2), beta, alpha);
}
// Here, unlike elsewhere, alpha comes before beta.
ACLNN_OP(aclnnAddmv, (const Tensor& self, const Tensor& mat, const Tensor& vec, const Scalar& alpha,
                      const Scalar& beta, Tensor& out, const Cube& cube)) {
  at::addmv_out(out, self, cube(mat), cube(vec), beta, alpha);
}
ACLNN_OP(aclnnAddr, (const Tensor& self, const Tensor& vec1, const Tensor& vec2, const Scalar& beta,
                     const Scalar& alpha, Tensor& out)) {
  at::addr_out(out, self, vec1, vec2, beta, alpha);
}
ACLNN_OP(aclnnInplaceAddr, (Tensor & self, const Tensor& vec1, const Tensor& vec2,
                            const Scalar& beta, const Scalar& alpha)) {
  self.addr_(vec1, vec2, beta, alpha);
}

}  // namespace ascend_sim::opapi
