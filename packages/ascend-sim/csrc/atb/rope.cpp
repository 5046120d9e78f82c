// SPDX-License-Identifier: Apache-2.0
//
// Rotary embedding, in place, with a cosine and a sine for every element of a head.
#include "atb/operation.h"
#include "opapi/numerics/parts.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using opapi::Require;

// Pairs are an element and the one half a head further, or two neighbours.
Tensor Rotated(const Tensor& x, bool halves) {
  if (halves) {
    const auto parts = opapi::Halves(x, -1);
    return at::cat({-parts[1], parts[0]}, -1);
  }
  const auto pairs = x.unflatten(-1, {-1, 2});
  return at::stack({-pairs.select(-1, 1), pairs.select(-1, 0)}, -1).flatten(-2);
}

void Embed(const Tensor& in, const Tensor& cos, const Tensor& sin, bool halves, Tensor out) {
  const auto x = in.to(at::kFloat).view({cos.size(0), -1, cos.size(1)});
  const auto c = cos.to(at::kFloat).unsqueeze(1), s = sin.to(at::kFloat).unsqueeze(1);
  out.copy_((x * c + Rotated(x, halves) * s).view(in.sizes()));
}

}  // namespace
}  // namespace ascend_sim::atb

// Inputs: query, key, cos, sin, sequence length (of all tokens, not needed). rotaryCoeff is 2 for
// halves, the size of a head for neighbours.
ASCEND_SIM_ATB_OPERATION(RopeParam, "RopeOperation", 5, 2) {
  arguments.Expect(5, 2);
  const auto query = arguments.Input(0), key = arguments.Input(1);
  const auto cos = arguments.Input(2), sin = arguments.Input(3);
  const auto query_out = arguments.Output(0), key_out = arguments.Output(1);
  Require(cos.dim() == 2 && sin.sizes() == cos.sizes(), "cos and sin must be [tokens, head size]");
  const auto size = cos.size(1);
  Require(param.rotaryCoeff == 2 || param.rotaryCoeff == size, "rotaryCoeff ", param.rotaryCoeff,
          " is not supported: 2 and the head size, ", size, ", are");
  for (const auto& tensor : {query, key}) {
    Require(tensor.dim() >= 1 && tensor.size(0) == cos.size(0) &&
                tensor.numel() % std::max<int64_t>(cos.numel(), 1) == 0,
            "query and key must be [tokens, heads * ", size, "], not ", tensor.sizes());
  }
  return [=, halves = param.rotaryCoeff == 2] {
    Embed(query, cos, sin, halves, query_out);
    Embed(key, cos, sin, halves, key_out);
  };
}
