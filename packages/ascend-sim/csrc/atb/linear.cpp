// SPDX-License-Identifier: Apache-2.0
//
// Matrix products, of which torch_npu uses the one that adds to a float32 output.
#include "atb/operation.h"

namespace ascend_sim::atb {

using opapi::Require;

}  // namespace ascend_sim::atb

// Inputs: a, b (maybe in FRACTAL_NZ), the matrix to add to.
ASCEND_SIM_ATB_OPERATION(LinearParam, "LinearOperation", 3, 1) {
  Require(param.accumulate && !param.hasBias && param.outDataType == -1,
          "only the product that accumulates (enAccum), without a bias, is supported");
  arguments.Expect(3, 1);
  const auto a = arguments.Input(0), sum = arguments.Input(2), out = arguments.Output(0);
  const auto b = arguments.FormattedInput(1);
  // ATB's LinearParam: with enAccum the output is float.
  Require(sum.scalar_type() == at::kFloat && out.scalar_type() == at::kFloat,
          "C must be a float32 tensor");
  Require(a.dim() == 2 && b.sizes().size() == 2 && a.scalar_type() == b.scalar_type(),
          "x and weight must be matrices of one dtype");
  return [=, param = param] {
    const auto left = a.to(at::kFloat), right = b.Read().to(at::kFloat);
    out.copy_(
        at::addmm(sum, param.transposeA ? left.t() : left, param.transposeB ? right.t() : right));
  };
}
