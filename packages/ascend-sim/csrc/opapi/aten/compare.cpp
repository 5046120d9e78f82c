// SPDX-License-Identifier: Apache-2.0
//
// Comparison, logic, bits and selection.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {

// Name{Tensor,Scalar} and their in-place forms.
#define COMPARE_OUT(Name, function)                                                       \
  ACLNN_OP(aclnn##Name##Tensor, (const Tensor& self, const Tensor& other, Tensor& out)) { \
    at::function##_out(out, self, other);                                                 \
  }                                                                                       \
  ACLNN_OP(aclnn##Name##Scalar, (const Tensor& self, const Scalar& other, Tensor& out)) { \
    at::function##_out(out, self, other);                                                 \
  }
#define COMPARE(Name, function)                                                \
  COMPARE_OUT(Name, function)                                                  \
  ACLNN_OP(aclnnInplace##Name##Tensor, (Tensor & self, const Tensor& other)) { \
    self.function##_(other);                                                   \
  }                                                                            \
  ACLNN_OP(aclnnInplace##Name##Scalar, (Tensor & self, const Scalar& other)) { \
    self.function##_(other);                                                   \
  }

COMPARE(Eq, eq)
COMPARE(Ne, ne)
COMPARE(Ge, ge)
COMPARE(Gt, gt)
COMPARE(Le, le)
COMPARE(Lt, lt)
COMPARE(BitwiseAnd, bitwise_and)
COMPARE(BitwiseXor, bitwise_xor)
COMPARE_OUT(BitwiseOr, bitwise_or)

// torch_npu asks for this name before it computes ge_ (with aclnnInplaceGeScalar).
ACLNN_OP(aclnnLessScalar, (const Tensor& self, const Scalar& other, Tensor& out)) {
  at::lt_out(out, self, other);
}

ACLNN_OP(aclnnLeftShift, (const Tensor& self, const Tensor& other, Tensor& out)) {
  at::bitwise_left_shift_out(out, self, other);
}
ACLNN_OP(aclnnRightShift, (const Tensor& self, const Tensor& other, Tensor& out)) {
  at::bitwise_right_shift_out(out, self, other);
}
ACLNN_OP(aclnnLeftShifts, (const Tensor& self, const Scalar& other, Tensor& out)) {
  at::bitwise_left_shift_out(out, self, other);
}

#define LOGICAL(Name, function)                                                   \
  ACLNN_OP(aclnn##Name, (const Tensor& self, const Tensor& other, Tensor& out)) { \
    at::function##_out(out, self, other);                                         \
  }

LOGICAL(LogicalAnd, logical_and)
LOGICAL(LogicalOr, logical_or)
LOGICAL(LogicalXor, logical_xor)

ACLNN_OP(aclnnInplaceLogicalAnd, (Tensor & self, const Tensor& other)) { self.logical_and_(other); }
ACLNN_OP(aclnnInplaceLogicalOr, (Tensor & self, const Tensor& other)) { self.logical_or_(other); }
ACLNN_OP(aclnnLogicalNot, (const Tensor& self, Tensor& out)) { at::logical_not_out(out, self); }
ACLNN_OP(aclnnInplaceLogicalNot, (Tensor & self)) { self.logical_not_(); }

ACLNN_OP(aclnnEqual, (const Tensor& self, const Tensor& other, Tensor& out)) {
  out.fill_(at::equal(self, other));
}
ACLNN_OP(aclnnIsClose, (const Tensor& self, const Tensor& other, double rtol, double atol,
                        bool equal_nan, Tensor& out)) {
  Store(out, at::isclose(self, other, rtol, atol, equal_nan));
}
ACLNN_OP(aclnnIsInTensorScalar, (const Tensor& elements, const Scalar& test_element,
                                 bool assume_unique, bool invert, Tensor& out)) {
  Store(out, at::isin(elements, test_element, assume_unique, invert));
}
ACLNN_OP(aclnnIsInScalarTensor, (const Scalar& element, const Tensor& test_elements,
                                 bool assume_unique, bool invert, Tensor& out)) {
  Store(out, at::isin(element, test_elements, assume_unique, invert));
}
ACLNN_OP(aclnnSWhere,
         (const Tensor& condition, const Tensor& self, const Tensor& other, Tensor& out)) {
  at::where_out(out, condition.scalar_type() == at::kBool ? condition : condition.to(at::kBool),
                self, other);
}

}  // namespace ascend_sim::opapi
