// SPDX-License-Identifier: Apache-2.0
//
// Matrix products. The right-hand matrix, a weight, may be in FRACTAL_NZ; the ...WeightNz operators
// require it.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/cube.h"

namespace ascend_sim::opapi {
namespace {

bool SameType(const Tensor& a, const Tensor& b, const Tensor& c) {
  return a.scalar_type() == b.scalar_type() && b.scalar_type() == c.scalar_type();
}

// As BLAS does for the CPU's own F.linear: directly into `out` where dtypes allow, else through the
// wider one. ATen writes the product of a vector and a matrix as if `out` were dense.
void MatmulInto(Tensor& out, const Tensor& self, const Tensor& other) {
  if (SameType(self, other, out) && out.is_contiguous()) {
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

// Batches of products whose rows come together: x1 [B, M, K] or [M, B, K], out [M, B, N], or with
// batchSplitFactor [factor, M, B / factor * N] (aclnnTransposeBatchMatMul.md).
struct TransposedBatches {
  Tensor x1;
  FormattedTensor x2;
  Ints perm_x1, perm_x2;
  int64_t factor;
  Tensor out;

  int64_t batches() const { return x1.size(perm_x1[0]); }

  void Check(const OptTensor& bias, const OptTensor& scale, const Ints& perm_y) const {
    const Ints kept{0, 1, 2}, rows_first{1, 0, 2}, columns_first{0, 2, 1};
    Require(!bias, "bias is not supported by CANN");
    Require(!scale, "scale is not supported: it goes with an int8 out, which torch_npu has not");
    Require(x1.dim() == 3 && x2.dim() == 3, "x1 and x2 must have 3 dimensions");
    Require(perm_x1 == kept || perm_x1 == rows_first, "permX1 must be [0, 1, 2] or [1, 0, 2]");
    Require(perm_x2 == kept || perm_x2 == columns_first, "permX2 must be [0, 1, 2] or [0, 2, 1]");
    Require(perm_y == rows_first, "permY must be [1, 0, 2]");
    const auto k = x1.size(2), n = x2.size(perm_x2[2]);
    Require(x2.size(0) == batches() && x2.size(perm_x2[1]) == k, "x2 must have ", batches(),
            " matrices of ", k, " rows");
    Require(factor >= 1 && batches() % factor == 0, "batchSplitFactor must divide ", batches(),
            ", got ", factor);
    Limit(batches() < 65536 && n < 65536, "B and N must be less than 65536");
    Limit(perm_x1 != kept || k <= 65535, "K must be at most 65535, got ", k);
    const bool few = perm_x2 == columns_first || (perm_x1 != kept && batches() * k > 65535);
    Limit(!few || (factor == 1 && perm_x1 == rows_first),
          "permX1 must be [1, 0, 2] and batchSplitFactor 1 with permX2 [0, 2, 1] or large B * K");
  }

  void Run(const Cube& cube) {
    const auto product = at::bmm(cube(x1.permute(perm_x1)), cube(x2.Read().permute(perm_x2)));
    const auto split = product.view({factor, batches() / factor, product.size(1), product.size(2)});
    Store(out, factor == 1 ? product.transpose(0, 1) : split.transpose(1, 2).flatten(2));
  }
};

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
  RequireFractal(mat2, "mat2");
  return [=]() mutable { MatmulInto(out, cube(self), cube(mat2.Read())); };
}
ACLNN_PLANNED_OP(aclnnBatchMatMulWeightNz,
                 (const Tensor& self, const FormattedTensor& mat2, Tensor& out, const Cube& cube)) {
  RequireFractal(mat2, "mat2");
  return [=]() mutable { MatmulInto(out, cube(self), cube(mat2.Read())); };
}

#define TRANSPOSE_BATCH_MATMUL_PARAMS                                                              \
  (const Tensor& x1, const FormattedTensor& x2, const OptTensor& bias, const OptTensor& scale,     \
   const Ints& perm_x1, const Ints& perm_x2, const Ints& perm_y, const Cube& cube, int64_t factor, \
   Tensor& out)
ACLNN_PLANNED_OP(aclnnTransposeBatchMatMul, TRANSPOSE_BATCH_MATMUL_PARAMS) {
  TransposedBatches batches{x1, x2, perm_x1, perm_x2, factor, out};
  batches.Check(bias, scale, perm_y);
  return [=]() mutable { batches.Run(cube); };
}
ACLNN_PLANNED_OP(aclnnTransposeBatchMatMulWeightNz, TRANSPOSE_BATCH_MATMUL_PARAMS) {
  RequireFractal(x2, "x2");
  TransposedBatches batches{x1, x2, perm_x1, perm_x2, factor, out};
  batches.Check(bias, scale, perm_y);
  return [=]() mutable { batches.Run(cube); };
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
  RequireFractal(mat2, "mat2");
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
