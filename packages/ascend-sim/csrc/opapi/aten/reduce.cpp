// SPDX-License-Identifier: Apache-2.0
//
// Reductions, scans, and softmax. An empty list of dimensions means all of them.
#include <ATen/OpMathType.h>

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

at::OptionalIntArrayRef DimsOrAll(const Ints& dims) {
  return dims.empty() ? at::OptionalIntArrayRef() : at::OptionalIntArrayRef(dims);
}

// CANN's kernels take p = INT_MAX and INT_MIN for the norms of infinite order.
Scalar NormOrder(const Scalar& p) {
  const double order = p.toDouble();
  if (order >= static_cast<double>(std::numeric_limits<int32_t>::max())) {
    return std::numeric_limits<double>::infinity();
  }
  if (order <= static_cast<double>(std::numeric_limits<int32_t>::min())) {
    return -std::numeric_limits<double>::infinity();
  }
  return p;
}

}  // namespace

// --- sums, means, extrema -----------------------------------------------------------------------

ACLNN_OP(aclnnReduceSum,
         (const Tensor& self, const Ints& dims, bool keepdim, DType /*of out*/, Tensor& out)) {
  at::sum_out(out, self, DimsOrAll(dims), keepdim, out.scalar_type());
}
ACLNN_OP(aclnnReduceNansum,
         (const Tensor& self, const Ints& dims, bool keepdim, DType /*of out*/, Tensor& out)) {
  at::nansum_out(out, self, DimsOrAll(dims), keepdim, out.scalar_type());
}
// How a device rounds the mean of integers to an integer is not documented.
ACLNN_PLANNED_OP(aclnnMean, (const Tensor& self, const Ints& dims, bool keepdim, DType /*of out*/,
                             Tensor& out)) {
  Require(!at::isIntegralType(out.scalar_type(), /*includeBool=*/true),
          "out must have a floating-point or complex dtype, got ", out.scalar_type());
  return [=]() mutable { at::mean_out(out, self, DimsOrAll(dims), keepdim, out.scalar_type()); };
}
ACLNN_OP(aclnnAmax, (const Tensor& self, const Ints& dims, bool keepdim, Tensor& out)) {
  at::amax_out(out, self, dims, keepdim);
}
ACLNN_OP(aclnnAmin, (const Tensor& self, const Ints& dims, bool keepdim, Tensor& out)) {
  at::amin_out(out, self, dims, keepdim);
}
ACLNN_OP(aclnnAminmax,
         (const Tensor& self, const Ints& dims, bool keepdim, Tensor& min, Tensor& max)) {
  at::amin_out(min, self, dims, keepdim);
  at::amax_out(max, self, dims, keepdim);
}
ACLNN_OP(aclnnAminmaxAll, (const Tensor& self, Tensor& min, Tensor& max)) {
  Store(min, at::amin(self));
  Store(max, at::amax(self));
}
ACLNN_OP(aclnnAminmaxDim,
         (const Tensor& self, int64_t dim, bool keepdim, Tensor& min, Tensor& max)) {
  at::amin_out(min, self, dim, keepdim);
  at::amax_out(max, self, dim, keepdim);
}
ACLNN_OP(aclnnMax, (const Tensor& self, Tensor& out)) { Store(out, at::max(self)); }
ACLNN_OP(aclnnMin, (const Tensor& self, Tensor& out)) { Store(out, at::min(self)); }
ACLNN_OP(aclnnMaxDim,
         (const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::max(self, dim, keepdim));
}
ACLNN_OP(aclnnMinDim,
         (const Tensor& self, int64_t dim, bool keepdim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::min(self, dim, keepdim));
}
ACLNN_OP(aclnnArgMax, (const Tensor& self, int64_t dim, bool keepdim, Tensor& out)) {
  Store(out, at::argmax(self, dim, keepdim));
}
ACLNN_OP(aclnnArgMin, (const Tensor& self, int64_t dim, bool keepdim, Tensor& out)) {
  Store(out, at::argmin(self, dim, keepdim));
}
ACLNN_OP(aclnnAll, (const Tensor& self, const Ints& dims, bool keepdim, Tensor& out)) {
  Store(out, at::all(self, DimsOrAll(dims), keepdim));
}
ACLNN_OP(aclnnAny, (const Tensor& self, const Ints& dims, bool keepdim, Tensor& out)) {
  Store(out, at::any(self, DimsOrAll(dims), keepdim));
}
ACLNN_OP(aclnnProd, (const Tensor& self, DType /*of out*/, Tensor& out)) {
  Store(out, at::prod(self, at::toOpMathType(out.scalar_type())));
}
ACLNN_OP(aclnnProdDim,
         (const Tensor& self, int64_t dim, bool keepdim, DType /*of out*/, Tensor& out)) {
  Store(out, at::prod(self, dim, keepdim, at::toOpMathType(out.scalar_type())));
}
ACLNN_OP(aclnnTrace, (const Tensor& self, Tensor& out)) { Store(out, at::trace(self)); }

// --- moments and norms --------------------------------------------------------------------------

ACLNN_OP(aclnnVarCorrection,
         (const Tensor& self, const Ints& dims, int64_t correction, bool keepdim, Tensor& out)) {
  at::var_out(out, self, DimsOrAll(dims), Scalar(correction), keepdim);
}
ACLNN_OP(aclnnStd,
         (const Tensor& self, const Ints& dims, int64_t correction, bool keepdim, Tensor& out)) {
  at::std_out(out, self, DimsOrAll(dims), Scalar(correction), keepdim);
}
ACLNN_OP(aclnnVarMean, (const Tensor& self, const Ints& dims, int64_t correction, bool keepdim,
                        Tensor& var, Tensor& mean)) {
  StorePair(var, mean, at::var_mean(self, DimsOrAll(dims), Scalar(correction), keepdim));
}
ACLNN_OP(aclnnStdMeanCorrection, (const Tensor& self, const Ints& dims, int64_t correction,
                                  bool keepdim, Tensor& std, Tensor& mean)) {
  StorePair(std, mean, at::std_mean(self, DimsOrAll(dims), Scalar(correction), keepdim));
}
ACLNN_OP(aclnnNorm,
         (const Tensor& self, const Scalar& p, const Ints& dims, bool keepdim, Tensor& out)) {
  Store(out, at::linalg_vector_norm(self, NormOrder(p), DimsOrAll(dims), keepdim));
}
ACLNN_OP(aclnnLinalgVectorNorm, (const Tensor& self, const Scalar& order, const Ints& dims,
                                 bool keepdim, DType dtype, Tensor& out)) {
  Store(out, at::linalg_vector_norm(self, NormOrder(order), DimsOrAll(dims), keepdim,
                                    self.is_complex() ? std::nullopt : dtype.get()));
}
ACLNN_OP(aclnnRenorm,
         (const Tensor& self, const Scalar& p, int64_t dim, const Scalar& max_norm, Tensor& out)) {
  at::renorm_out(out, self, p, dim, max_norm);
}

// --- scans --------------------------------------------------------------------------------------

ACLNN_OP(aclnnCumsum, (const Tensor& self, int64_t dim, DType /*of out*/, Tensor& out)) {
  at::cumsum_out(out, self, dim, out.scalar_type());
}
ACLNN_OP(aclnnCumprod, (const Tensor& self, const Scalar& dim, DType /*of out*/, Tensor& out)) {
  at::cumprod_out(out, self, dim.toLong(), out.scalar_type());
}
ACLNN_OP(aclnnCummax, (const Tensor& self, int64_t dim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::cummax(self, dim));
}
ACLNN_OP(aclnnCummin, (const Tensor& self, int64_t dim, Tensor& values, Tensor& indices)) {
  StorePair(values, indices, at::cummin(self, dim));
}

// --- softmax ------------------------------------------------------------------------------------

// Whether ATen may write the softmax of `self` directly to `out`, which it treats as if it were
// dense.
bool TakesSoftmax(const Tensor& out, const Tensor& self) {
  return self.scalar_type() == out.scalar_type() && out.is_contiguous();
}

ACLNN_OP(aclnnSoftmax, (const Tensor& self, int64_t dim, Tensor& out)) {
  if (TakesSoftmax(out, self)) {
    at::_softmax_out(out, self, dim, /*half_to_float=*/false);
  } else {
    Store(out, at::softmax(self, dim, out.scalar_type()));
  }
}
ACLNN_OP(aclnnLogSoftmax, (const Tensor& self, int64_t dim, Tensor& out)) {
  if (TakesSoftmax(out, self)) {
    at::_log_softmax_out(out, self, dim, /*half_to_float=*/false);
  } else {
    Store(out, at::log_softmax(self, dim, out.scalar_type()));
  }
}
ACLNN_OP(aclnnLogSumExp, (const Tensor& self, const Ints& dims, bool keepdim, Tensor& out)) {
  at::logsumexp_out(out, self, dims, keepdim);
}

// Computed from the output of the forward function.
ACLNN_OP(aclnnSoftmaxBackward,
         (const Tensor& grad, const Tensor& output, int64_t dim, Tensor& grad_input)) {
  RequireSameShape(grad, output);
  Store(grad_input, at::_softmax_backward_data(grad.to(output.scalar_type()), output, dim,
                                               output.scalar_type()));
}
ACLNN_OP(aclnnLogSoftmaxBackward,
         (const Tensor& grad, const Tensor& output, int64_t dim, Tensor& grad_input)) {
  RequireSameShape(grad, output);
  Store(grad_input, at::_log_softmax_backward_data(grad.to(output.scalar_type()), output, dim,
                                                   output.scalar_type()));
}

// --- histograms ---------------------------------------------------------------------------------

ACLNN_OP(aclnnBincount,
         (const Tensor& self, const OptTensor& weights, int64_t min_length, Tensor& out)) {
  TORCH_CHECK(min_length <= out.numel(), "minlength is ", min_length, ", but the output has ",
              out.numel(), " elements");
  Store(out, at::bincount(self, weights, min_length));
}
ACLNN_OP(aclnnHistc,
         (const Tensor& self, int64_t bins, const Scalar& min, const Scalar& max, Tensor& out)) {
  RequireElements(out, bins, "bins");
  Store(out, at::histc(self, bins, min, max));
}

}  // namespace ascend_sim::opapi
