// SPDX-License-Identifier: Apache-2.0
#include "operators.h"

#include <array>

namespace ascend_sim {
namespace {

using at::Tensor;

// Also converts the dtype, to that of the output.
void Copy(const Operands& inputs, const Operands& outputs, const aclopAttr&) {
  outputs[0].Write(inputs[0].Read());
}

Tensor Adjoined(const Tensor& matrix, bool transposed) {
  return transposed ? matrix.transpose(-1, -2) : matrix;
}

// x1 @ x2 [+ bias]; the two generations of the operator name their attributes differently.
void Multiply(const Operands& inputs, const Operands& outputs, const aclopAttr& attributes) {
  const auto flag = [&](const char* a, const char* b) {
    return attributes.Get(a, false) || attributes.Get(b, false);
  };
  auto product = at::matmul(Adjoined(inputs[0].Read(), flag("transpose_x1", "adj_x1")),
                            Adjoined(inputs[1].Read(), flag("transpose_x2", "adj_x2")));
  if (inputs.size() > 2) product = product + inputs[2].Read();
  outputs[0].Write(product);
}

const std::array kOperators{
    NamedOperator{"Identity", 1, Copy},
    NamedOperator{"TransData", 1, Copy},
    NamedOperator{"Cast", 1, Copy},
    NamedOperator{"MatMul", 2, Multiply},
    NamedOperator{"MatMulV2", 2, Multiply},
    NamedOperator{"BatchMatMul", 2, Multiply},
    NamedOperator{"BatchMatMulV2", 2, Multiply},
};

}  // namespace

const NamedOperator* FindOperator(std::string_view name) {
  for (const auto& op : kOperators) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

}  // namespace ascend_sim
