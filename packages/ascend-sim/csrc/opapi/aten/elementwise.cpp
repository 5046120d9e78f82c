// SPDX-License-Identifier: Apache-2.0
//
// Arithmetic and functions of one element.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {
namespace {

// A scalar operand as a tensor that takes part in type promotion as a Python number does.
Tensor Number(const Scalar& value) {
  Tensor number = c10::scalar_to_tensor(value);
  number.unsafeGetTensorImpl()->set_wrapped_number(true);
  return number;
}

// Differences of bools are not defined.
template <class Other>
at::ScalarType Difference(const Tensor& self, const Other& other) {
  const auto type = at::result_type(self, other);
  Require(type != at::kBool, "self and other must not both be BOOL");
  return type;
}

// The dtype of a result, given the dtype that the operands are promoted to: a quotient of integers
// is float.
at::ScalarType Same(at::ScalarType promoted) { return promoted; }
at::ScalarType Quotient(at::ScalarType promoted) {
  return at::isIntegralType(promoted, /*includeBool=*/true) ? at::kFloat : promoted;
}

// The rounding modes of aclnnDivMod.
std::optional<std::string_view> RoundingMode(int mode) {
  switch (mode) {
    case 0:
      return std::nullopt;
    case 1:
      return "trunc";
    case 2:
      return "floor";
    default:
      throw ParamError(kParamInvalid,
                       c10::str("mode must be 0 (true), 1 (trunc) or 2 (floor), got ", mode));
  }
}

// For aclnnDivMod and its forms.
Work DivideInto(const Tensor& out, const Tensor& self, const Tensor& other, int mode) {
  const auto rounding = RoundingMode(mode);
  const auto type = at::result_type(self, other);
  return Into(out, rounding ? type : Quotient(type),
              [=](Tensor& result) { at::div_out(result, self, other, rounding); });
}

}  // namespace

// --- one operand --------------------------------------------------------------------------------

#define UNARY_OUT(Name, function) \
  ACLNN_OP(aclnn##Name, (const Tensor& self, Tensor& out)) { at::function##_out(out, self); }
#define UNARY_INPLACE(Name, function) \
  ACLNN_OP(aclnnInplace##Name, (Tensor & self)) { at::function##_out(self, self); }
#define UNARY(Name, function) UNARY_OUT(Name, function) UNARY_INPLACE(Name, function)

UNARY_OUT(Abs, abs)
UNARY(Acos, acos)
UNARY(Acosh, acosh)
UNARY(Asin, asin)
UNARY(Asinh, asinh)
UNARY(Atan, atan)
UNARY(Atanh, atanh)
UNARY_OUT(BitwiseNot, bitwise_not)
UNARY(Ceil, ceil)
UNARY(Cos, cos)
UNARY(Cosh, cosh)
UNARY(Erf, erf)
UNARY(Erfc, erfc)
UNARY(Erfinv, erfinv)
UNARY(Exp, exp)
UNARY(Exp2, exp2)
UNARY(Expm1, expm1)
UNARY(Floor, floor)
UNARY(Frac, frac)
UNARY_OUT(IsNegInf, isneginf)
UNARY_OUT(IsPosInf, isposinf)
UNARY(Log, log)
UNARY(Log10, log10)
UNARY(Log1p, log1p)
UNARY(Log2, log2)
UNARY_OUT(Neg, neg)
UNARY(Reciprocal, reciprocal)
UNARY_OUT(Round, round)
UNARY(Rsqrt, rsqrt)
UNARY(Sigmoid, sigmoid)
UNARY_OUT(Sign, sgn)
UNARY_OUT(Signbit, signbit)
UNARY(Sin, sin)
UNARY(Sinc, sinc)
UNARY(Sinh, sinh)
UNARY(Sqrt, sqrt)
UNARY(Tan, tan)
UNARY(Tanh, tanh)
UNARY_OUT(Trunc, trunc)

ACLNN_OP(aclnnRoundDecimals, (const Tensor& self, int64_t decimals, Tensor& out)) {
  at::round_out(out, self, decimals);
}
ACLNN_OP(aclnnInplaceRoundDecimals, (Tensor & self, int64_t decimals)) {
  at::round_out(self, self, decimals);
}
ACLNN_OP(aclnnAngleV2, (const Tensor& self, Tensor& out)) { Store(out, at::angle(self)); }
ACLNN_OP(aclnnIsFinite, (const Tensor& self, Tensor& out)) { Store(out, at::isfinite(self)); }
ACLNN_OP(aclnnNanToNum, (const Tensor& self, float nan, float posinf, float neginf, Tensor& out)) {
  at::nan_to_num_out(out, self, nan, posinf, neginf);
}
ACLNN_OP(aclnnInplaceNanToNum, (Tensor & self, float nan, float posinf, float neginf)) {
  at::nan_to_num_out(self, self, nan, posinf, neginf);
}

// --- two operands -------------------------------------------------------------------------------

// Name(tensor, tensor), Names(tensor, scalar) and both in place, the second operand times alpha.
#define SCALED(Name, function, TypeOf)                                                            \
  ACLNN_PLANNED_OP(aclnn##Name,                                                                   \
                   (const Tensor& self, const Tensor& other, const Scalar& alpha, Tensor& out)) { \
    return Into(out, TypeOf(self, other),                                                         \
                [=](Tensor& result) { at::function##_out(result, self, other, alpha); });         \
  }                                                                                               \
  ACLNN_PLANNED_OP(aclnn##Name##s,                                                                \
                   (const Tensor& self, const Scalar& other, const Scalar& alpha, Tensor& out)) { \
    return Into(out, TypeOf(self, other),                                                         \
                [=](Tensor& result) { at::function##_out(result, self, Number(other), alpha); }); \
  }                                                                                               \
  ACLNN_PLANNED_OP(aclnnInplace##Name,                                                            \
                   (Tensor & self, const Tensor& other, const Scalar& alpha)) {                   \
    return Into(self, TypeOf(self, other),                                                        \
                [=](Tensor& result) { at::function##_out(result, self, other, alpha); });         \
  }                                                                                               \
  ACLNN_PLANNED_OP(aclnnInplace##Name##s,                                                         \
                   (Tensor & self, const Scalar& other, const Scalar& alpha)) {                   \
    return Into(self, TypeOf(self, other),                                                        \
                [=](Tensor& result) { at::function##_out(result, self, Number(other), alpha); }); \
  }

SCALED(Add, add, at::result_type)
SCALED(Sub, sub, Difference)

ACLNN_PLANNED_OP(aclnnAddV3,
                 (const Scalar& self, const Tensor& other, const Scalar& alpha, Tensor& out)) {
  return Into(out, at::result_type(self, other),
              [=](Tensor& result) { at::add_out(result, Number(self), other, alpha); });
}
ACLNN_PLANNED_OP(aclnnRsub,
                 (const Tensor& self, const Tensor& other, const Scalar& alpha, Tensor& out)) {
  return Into(out, Difference(self, other),
              [=](Tensor& result) { at::sub_out(result, other, self, alpha); });
}
ACLNN_PLANNED_OP(aclnnRsubs,
                 (const Tensor& self, const Scalar& other, const Scalar& alpha, Tensor& out)) {
  return Into(out, Difference(self, other),
              [=](Tensor& result) { at::sub_out(result, Number(other), self, alpha); });
}

// Name(tensor, tensor), Names(tensor, scalar) and both in place.
#define BINARY(Name, function, TypeOf)                                                       \
  ACLNN_PLANNED_OP(aclnn##Name, (const Tensor& self, const Tensor& other, Tensor& out)) {    \
    return Into(out, TypeOf(at::result_type(self, other)),                                   \
                [=](Tensor& result) { at::function##_out(result, self, other); });           \
  }                                                                                          \
  ACLNN_PLANNED_OP(aclnn##Name##s, (const Tensor& self, const Scalar& other, Tensor& out)) { \
    return Into(out, TypeOf(at::result_type(self, other)),                                   \
                [=](Tensor& result) { at::function##_out(result, self, Number(other)); });   \
  }                                                                                          \
  ACLNN_PLANNED_OP(aclnnInplace##Name, (Tensor & self, const Tensor& other)) {               \
    return Into(self, TypeOf(at::result_type(self, other)),                                  \
                [=](Tensor& result) { at::function##_out(result, self, other); });           \
  }                                                                                          \
  ACLNN_PLANNED_OP(aclnnInplace##Name##s, (Tensor & self, const Scalar& other)) {            \
    return Into(self, TypeOf(at::result_type(self, other)),                                  \
                [=](Tensor& result) { at::function##_out(result, self, Number(other)); });   \
  }

BINARY(Mul, mul, Same)
BINARY(Div, div, Quotient)
BINARY(FloorDivide, floor_divide, Same)

ACLNN_PLANNED_OP(aclnnDivMod, (const Tensor& self, const Tensor& other, int mode, Tensor& out)) {
  return DivideInto(out, self, other, mode);
}
ACLNN_PLANNED_OP(aclnnDivMods, (const Tensor& self, const Scalar& other, int mode, Tensor& out)) {
  return DivideInto(out, self, Number(other), mode);
}
ACLNN_PLANNED_OP(aclnnInplaceDivMod, (Tensor & self, const Tensor& other, int mode)) {
  return DivideInto(self, self, other, mode);
}
ACLNN_PLANNED_OP(aclnnInplaceDivMods, (Tensor & self, const Scalar& other, int mode)) {
  return DivideInto(self, self, Number(other), mode);
}

// Name<Self><Other>: tensor with tensor, tensor with scalar, scalar with tensor.
ACLNN_OP(aclnnRemainderTensorTensor, (const Tensor& self, const Tensor& other, Tensor& out)) {
  at::remainder_out(out, self, other);
}
ACLNN_OP(aclnnRemainderTensorScalar, (const Tensor& self, const Scalar& other, Tensor& out)) {
  at::remainder_out(out, self, Number(other));
}
ACLNN_OP(aclnnRemainderScalarTensor, (const Scalar& self, const Tensor& other, Tensor& out)) {
  at::remainder_out(out, Number(self), other);
}
ACLNN_PLANNED_OP(aclnnInplaceRemainderTensorTensor, (Tensor & self, const Tensor& other)) {
  return Into(self, at::result_type(self, other),
              [=](Tensor& result) { at::remainder_out(result, self, other); });
}
ACLNN_PLANNED_OP(aclnnInplaceRemainderTensorScalar, (Tensor & self, const Scalar& other)) {
  return Into(self, at::result_type(self, other),
              [=](Tensor& result) { at::remainder_out(result, self, Number(other)); });
}
ACLNN_OP(aclnnFmodTensor, (const Tensor& self, const Tensor& other, Tensor& out)) {
  at::fmod_out(out, self, other);
}
ACLNN_OP(aclnnFmodScalar, (const Tensor& self, const Scalar& other, Tensor& out)) {
  at::fmod_out(out, self, other);
}
ACLNN_PLANNED_OP(aclnnInplaceFmodTensor, (Tensor & self, const Tensor& other)) {
  return Into(self, at::result_type(self, other),
              [=](Tensor& result) { at::fmod_out(result, self, other); });
}
ACLNN_PLANNED_OP(aclnnInplaceFmodScalar, (Tensor & self, const Scalar& other)) {
  return Into(self, at::result_type(self, other),
              [=](Tensor& result) { at::fmod_out(result, self, other); });
}
ACLNN_OP(aclnnPowTensorTensor, (const Tensor& self, const Tensor& exponent, Tensor& out)) {
  at::pow_out(out, self, exponent);
}
ACLNN_OP(aclnnPowTensorScalar, (const Tensor& self, const Scalar& exponent, Tensor& out)) {
  at::pow_out(out, self, exponent);
}
ACLNN_OP(aclnnPowScalarTensor, (const Scalar& self, const Tensor& exponent, Tensor& out)) {
  at::pow_out(out, self, exponent);
}
ACLNN_PLANNED_OP(aclnnInplacePowTensorTensor, (Tensor & self, const Tensor& exponent)) {
  return Into(self, at::result_type(self, exponent),
              [=](Tensor& result) { at::pow_out(result, self, exponent); });
}
ACLNN_PLANNED_OP(aclnnInplacePowTensorScalar, (Tensor & self, const Scalar& exponent)) {
  return Into(self, at::result_type(self, exponent),
              [=](Tensor& result) { at::pow_out(result, self, exponent); });
}

#define BINARY_OUT(Name, function)                                                \
  ACLNN_OP(aclnn##Name, (const Tensor& self, const Tensor& other, Tensor& out)) { \
    at::function##_out(out, self, other);                                         \
  }

BINARY_OUT(Atan2, atan2)
BINARY_OUT(Gcd, gcd)
BINARY_OUT(LogAddExp, logaddexp)
BINARY_OUT(LogAddExp2, logaddexp2)
BINARY_OUT(Maximum, maximum)
BINARY_OUT(Minimum, minimum)
BINARY_OUT(Polar, polar)
BINARY_OUT(XLogYTensor, xlogy)

ACLNN_OP(aclnnInplaceAtan2, (Tensor & self, const Tensor& other)) { self.atan2_(other); }
ACLNN_OP(aclnnComplex, (const Tensor& real, const Tensor& imag, Tensor& out)) {
  at::complex_out(out, real, imag);
}
ACLNN_OP(aclnnXLogYScalarSelf, (const Scalar& self, const Tensor& other, Tensor& out)) {
  at::xlogy_out(out, self, other);
}
ACLNN_OP(aclnnXLogYScalarOther, (const Tensor& self, const Scalar& other, Tensor& out)) {
  at::xlogy_out(out, self, other);
}
ACLNN_OP(aclnnInplaceXLogYScalarOther, (Tensor & self, const Scalar& other)) { self.xlogy_(other); }

// --- three operands -----------------------------------------------------------------------------

ACLNN_OP(aclnnAddcmul, (const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
                        const Scalar& value, Tensor& out)) {
  at::addcmul_out(out, self, tensor1, tensor2, value);
}
ACLNN_OP(aclnnAddcdiv, (const Tensor& self, const Tensor& tensor1, const Tensor& tensor2,
                        const Scalar& value, Tensor& out)) {
  at::addcdiv_out(out, self, tensor1, tensor2, value);
}
ACLNN_OP(aclnnInplaceAddcmul,
         (Tensor & self, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value)) {
  self.addcmul_(tensor1, tensor2, value);
}
ACLNN_OP(aclnnInplaceAddcdiv,
         (Tensor & self, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value)) {
  self.addcdiv_(tensor1, tensor2, value);
}
ACLNN_OP(aclnnLerp, (const Tensor& self, const Tensor& end, const Tensor& weight, Tensor& out)) {
  at::lerp_out(out, self, end, weight);
}
ACLNN_OP(aclnnLerps, (const Tensor& self, const Tensor& end, const Scalar& weight, Tensor& out)) {
  at::lerp_out(out, self, end, weight);
}
ACLNN_OP(aclnnInplaceLerp, (Tensor & self, const Tensor& end, const Tensor& weight)) {
  self.lerp_(end, weight);
}
ACLNN_OP(aclnnInplaceLerps, (Tensor & self, const Tensor& end, const Scalar& weight)) {
  self.lerp_(end, weight);
}

ACLNN_OP(aclnnClamp,
         (const Tensor& self, const OptScalar& min, const OptScalar& max, Tensor& out)) {
  at::clamp_out(out, self, min, max);
}
ACLNN_OP(aclnnClampMin, (const Tensor& self, const Scalar& min, Tensor& out)) {
  at::clamp_min_out(out, self, min);
}
ACLNN_OP(aclnnClampMax, (const Tensor& self, const Scalar& max, Tensor& out)) {
  at::clamp_max_out(out, self, max);
}
ACLNN_OP(aclnnInplaceClampMax, (Tensor & self, const Scalar& max)) { self.clamp_max_(max); }
ACLNN_OP(aclnnClampTensor,
         (const Tensor& self, const OptTensor& min, const OptTensor& max, Tensor& out)) {
  at::clamp_out(out, self, min, max);
}
ACLNN_OP(aclnnClampMinTensor, (const Tensor& self, const Tensor& min, Tensor& out)) {
  at::clamp_min_out(out, self, min);
}
ACLNN_OP(aclnnClampMaxTensor, (const Tensor& self, const Tensor& max, Tensor& out)) {
  at::clamp_max_out(out, self, max);
}
ACLNN_OP(aclnnInplaceClampMinTensor, (Tensor & self, const Tensor& min)) { self.clamp_min_(min); }
ACLNN_OP(aclnnInplaceClampMaxTensor, (Tensor & self, const Tensor& max)) { self.clamp_max_(max); }

}  // namespace ascend_sim::opapi
