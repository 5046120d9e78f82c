// SPDX-License-Identifier: Apache-2.0
#include "acl_op_compiler/operators.h"

#include <array>

#include "acl_op_compiler/recurrent.h"

namespace ascend_sim {
namespace {

using at::Tensor;

// Also converts the dtype, to that of the output.
void Copy(const NamedCall& call) { call.outputs[0].Write(call.inputs[0].Read()); }

Tensor Adjoined(const Tensor& matrix, bool transposed) {
  return transposed ? matrix.transpose(-1, -2) : matrix;
}

// x1 @ x2 [+ bias]; the two generations of the operator name their attributes differently.
void Multiply(const NamedCall& call) {
  const auto flag = [&](const char* a, const char* b) {
    return call.attributes.Get(a, false) || call.attributes.Get(b, false);
  };
  auto product = at::matmul(Adjoined(call.inputs[0].Read(), flag("transpose_x1", "adj_x1")),
                            Adjoined(call.inputs[1].Read(), flag("transpose_x2", "adj_x2")));
  if (call.inputs.size() > 2) product = product + call.inputs[2].Read();
  call.outputs[0].Write(product);
}

// The gradient where what ReLU had, or gave, exceeds the threshold.
void PassWhereAbove(const NamedCall& call) {
  const double threshold = call.attributes.Get("threshold", 0.0f);
  call.outputs[0].Write(
      at::threshold_backward(call.inputs[0].Read(), call.inputs[1].Read(), threshold));
}

void Transpose(const NamedCall& call) {
  call.outputs[0].Write(call.inputs[0].Read().permute(call.numbers[0]));
}

void Slice(const NamedCall& call) {
  auto part = call.inputs[0].Read();
  const auto &begins = call.numbers[0], &sizes = call.numbers[1];
  TORCH_CHECK(begins.size() == sizes.size() && static_cast<int64_t>(begins.size()) == part.dim(),
              "Slice: x has ", part.dim(), " dimensions, offsets and size have ", begins.size(),
              " and ", sizes.size(), " elements");
  for (size_t i = 0; i < begins.size(); ++i) {
    const auto dim = static_cast<int64_t>(i);
    part = part.narrow(dim, begins[i], sizes[i] == -1 ? part.size(dim) - begins[i] : sizes[i]);
  }
  call.outputs[0].Write(part);
}

const std::array kOperators{
    NamedOperator{"Identity", 1, 0, Copy},
    NamedOperator{"TransData", 1, 0, Copy},
    NamedOperator{"Cast", 1, 0, Copy},
    NamedOperator{"MatMul", 2, 0, Multiply},
    NamedOperator{"MatMulV2", 2, 0, Multiply},
    NamedOperator{"BatchMatMul", 2, 0, Multiply},
    NamedOperator{"BatchMatMulV2", 2, 0, Multiply},
    NamedOperator{"ReluGrad", 2, 0, PassWhereAbove},
    NamedOperator{"ThresholdGradV2D", 2, 0, PassWhereAbove},
    NamedOperator{"Transpose", 1, 1, Transpose},
    NamedOperator{"Slice", 1, 2, Slice},
    NamedOperator{"DynamicRNN", 5, 0, DynamicRnn, 8},
    NamedOperator{"DynamicRNNV2", 5, 0, DynamicRnnV2, 8},
    NamedOperator{"DynamicRNNGrad", 17, 0, DynamicRnnGrad, 5},
    NamedOperator{"DynamicRNNV2Grad", 17, 0, DynamicRnnV2Grad, 6},
};

}  // namespace

const NamedOperator* FindOperator(std::string_view name) {
  for (const auto& op : kOperators) {
    if (name == op.name) return &op;
  }
  return nullptr;
}

}  // namespace ascend_sim
