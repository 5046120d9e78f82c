// SPDX-License-Identifier: Apache-2.0
//
// The same function for each tensor of lists, as optimizers use them. Results go into a list that
// may be the first operand's own.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

template <class Function>
void ForEach(Tensors& outs, const Function& function) {
  for (size_t i = 0; i < outs.size(); ++i) {
    TORCH_CHECK(outs[i].defined(), "a result of the list is null");
    Store(outs[i], function(i));
  }
}

// A number that torch_npu has copied to the device.
Scalar NumberIn(const Tensor& tensor) { return tensor.item(); }

Tensor Maximum(const Tensor& self, const Tensor& other) { return at::maximum(self, other); }
Tensor Maximum(const Tensor& self, const Scalar& number) { return self.clamp_min(number); }
Tensor Minimum(const Tensor& self, const Tensor& other) { return at::minimum(self, other); }
Tensor Minimum(const Tensor& self, const Scalar& number) { return self.clamp_max(number); }

// The numbers of aclnnForeachRoundOffNumber.
Tensor RoundOff(const Tensor& self, int64_t mode) {
  switch (mode) {
    case 1:
      return self.round();
    case 2:
      return self.floor();
    case 3:
      return self.ceil();
    case 5:
      return self.trunc();
    case 7:
      return self.frac();
    default:
      TORCH_CHECK(false,
                  "roundMode must be 1 (round), 2 (floor), 3 (ceil), 5 (trunc) or 7 (frac), got ",
                  mode);
  }
}

}  // namespace

// --- one list -----------------------------------------------------------------------------------

#define FOREACH_UNARY(Name, function)                                  \
  ACLNN_OP(aclnnForeach##Name, (const Tensors& self, Tensors& outs)) { \
    ForEach(outs, [&](size_t i) { return function(self.at(i)); });     \
  }

FOREACH_UNARY(Abs, at::abs)
FOREACH_UNARY(Acos, at::acos)
FOREACH_UNARY(Asin, at::asin)
FOREACH_UNARY(Atan, at::atan)
FOREACH_UNARY(Copy, at::alias)
FOREACH_UNARY(Cos, at::cos)
FOREACH_UNARY(Cosh, at::cosh)
FOREACH_UNARY(Erf, at::erf)
FOREACH_UNARY(Erfc, at::erfc)
FOREACH_UNARY(Exp, at::exp)
FOREACH_UNARY(Expm1, at::expm1)
FOREACH_UNARY(Log, at::log)
FOREACH_UNARY(Log10, at::log10)
FOREACH_UNARY(Log1p, at::log1p)
FOREACH_UNARY(Log2, at::log2)
FOREACH_UNARY(Neg, at::neg)
FOREACH_UNARY(Reciprocal, at::reciprocal)
FOREACH_UNARY(Sigmoid, at::sigmoid)
FOREACH_UNARY(Sign, at::sgn)
FOREACH_UNARY(Sin, at::sin)
FOREACH_UNARY(Sinh, at::sinh)
FOREACH_UNARY(Sqrt, at::sqrt)
FOREACH_UNARY(Tan, at::tan)
FOREACH_UNARY(Tanh, at::tanh)

ACLNN_OP(aclnnForeachZeroInplace, (Tensors & self)) {
  for (auto& tensor : self) tensor.zero_();
}
ACLNN_OP(aclnnForeachRoundOffNumber, (const Tensors& self, const Tensor& mode, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return RoundOff(self.at(i), NumberIn(mode).toLong()); });
}
ACLNN_OP(aclnnForeachRoundOffNumberV2, (const Tensors& self, const Scalar& mode, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return RoundOff(self.at(i), mode.toLong()); });
}
ACLNN_OP(aclnnForeachNorm, (const Tensors& self, const Scalar& order, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return at::linalg_vector_norm(self.at(i), order); });
}

// --- a list with a list, a number, or a number for each -----------------------------------------

// With<Number>: the number is a tensor on the device, <Number>V2: it is not.
#define FOREACH_BINARY(Name, function)                                                             \
  ACLNN_OP(aclnnForeach##Name##List, (const Tensors& self, const Tensors& other, Tensors& outs)) { \
    ForEach(outs, [&](size_t i) { return function(self.at(i), other.at(i)); });                    \
  }                                                                                                \
  FOREACH_NUMBER(Name, function)
#define FOREACH_NUMBER(Name, function)                                               \
  ACLNN_OP(aclnnForeach##Name##Scalar,                                               \
           (const Tensors& self, const Tensor& number, Tensors& outs)) {             \
    ForEach(outs, [&](size_t i) { return function(self.at(i), NumberIn(number)); }); \
  }                                                                                  \
  ACLNN_OP(aclnnForeach##Name##ScalarV2,                                             \
           (const Tensors& self, const Scalar& number, Tensors& outs)) {             \
    ForEach(outs, [&](size_t i) { return function(self.at(i), number); });           \
  }                                                                                  \
  ACLNN_OP(aclnnForeach##Name##ScalarList,                                           \
           (const Tensors& self, const Scalars& numbers, Tensors& outs)) {           \
    ForEach(outs, [&](size_t i) { return function(self.at(i), numbers.at(i)); });    \
  }
#define FOREACH_SUM(Name, function)                                                              \
  ACLNN_OP(aclnnForeach##Name##List,                                                             \
           (const Tensors& self, const Tensors& other, const Tensor& alpha, Tensors& outs)) {    \
    ForEach(outs, [&](size_t i) { return function(self.at(i), other.at(i), NumberIn(alpha)); }); \
  }                                                                                              \
  ACLNN_OP(aclnnForeach##Name##ListV2,                                                           \
           (const Tensors& self, const Tensors& other, const Scalar& alpha, Tensors& outs)) {    \
    ForEach(outs, [&](size_t i) { return function(self.at(i), other.at(i), alpha); });           \
  }                                                                                              \
  FOREACH_NUMBER(Name, function)

FOREACH_SUM(Add, at::add)
FOREACH_SUM(Sub, at::sub)
FOREACH_BINARY(Mul, at::mul)
FOREACH_BINARY(Div, at::div)
FOREACH_BINARY(Pow, at::pow)
FOREACH_BINARY(Maximum, Maximum)
FOREACH_BINARY(Minimum, Minimum)

ACLNN_OP(aclnnForeachPowScalarAndTensor,
         (const Scalar& base, const Tensors& exponents, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return at::pow(base, exponents.at(i)); });
}

// --- three lists --------------------------------------------------------------------------------

// The numbers of a "ScalarList" come as one tensor here.
#define FOREACH_PRODUCT(Name, function)                                                 \
  ACLNN_OP(aclnnForeach##Name##Scalar,                                                  \
           (const Tensors& self, const Tensors& tensors1, const Tensors& tensors2,      \
            const Tensor& value, Tensors& outs)) {                                      \
    ForEach(outs, [&](size_t i) {                                                       \
      return function(self.at(i), tensors1.at(i), tensors2.at(i), NumberIn(value));     \
    });                                                                                 \
  }                                                                                     \
  ACLNN_OP(aclnnForeach##Name##ScalarV2,                                                \
           (const Tensors& self, const Tensors& tensors1, const Tensors& tensors2,      \
            const Scalar& value, Tensors& outs)) {                                      \
    ForEach(outs, [&](size_t i) {                                                       \
      return function(self.at(i), tensors1.at(i), tensors2.at(i), value);               \
    });                                                                                 \
  }                                                                                     \
  ACLNN_OP(aclnnForeach##Name##ScalarList,                                              \
           (const Tensors& self, const Tensors& tensors1, const Tensors& tensors2,      \
            const Tensor& values, Tensors& outs)) {                                     \
    ForEach(outs, [&](size_t i) {                                                       \
      return function(self.at(i), tensors1.at(i), tensors2.at(i), NumberIn(values[i])); \
    });                                                                                 \
  }

FOREACH_PRODUCT(Addcmul, at::addcmul)
FOREACH_PRODUCT(Addcdiv, at::addcdiv)

ACLNN_OP(aclnnForeachLerpList,
         (const Tensors& self, const Tensors& ends, const Tensors& weights, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return at::lerp(self.at(i), ends.at(i), weights.at(i)); });
}
ACLNN_OP(aclnnForeachLerpScalar,
         (const Tensors& self, const Tensors& ends, const Scalar& weight, Tensors& outs)) {
  ForEach(outs, [&](size_t i) { return at::lerp(self.at(i), ends.at(i), weight); });
}

// For the gradient scaler of automatic mixed precision.
ACLNN_OP(aclnnForeachNonFiniteCheckAndUnscale,
         (Tensors & grads, Tensor& found_inf, const Tensor& inverse_scale)) {
  for (auto& grad : grads) {
    if (!at::isfinite(grad).all().item<bool>()) found_inf.fill_(1);
    grad.mul_(inverse_scale.to(grad.scalar_type()));
  }
}
ACLNN_OP(aclnnAmpUpdateScale,
         (const Tensor& scale, const Tensor& growth_tracker, const Tensor& found_inf,
          double growth_factor, double backoff_factor, int64_t growth_interval, Tensor& new_scale,
          Tensor& new_growth_tracker)) {
  const bool overflow = found_inf.item<float>() > 0;
  const int64_t steps = overflow ? 0 : growth_tracker.item<int64_t>() + 1;
  const bool grow = steps == growth_interval;
  const double factor = overflow ? backoff_factor : grow ? growth_factor : 1.0;
  new_scale.fill_(scale.item<float>() * factor);
  new_growth_tracker.fill_(grow ? 0 : steps);
}

}  // namespace ascend_sim::opapi
