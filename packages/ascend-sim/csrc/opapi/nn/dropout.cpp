// SPDX-License-Identifier: Apache-2.0
#include "opapi/nn/dropout.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/aten/random.h"

namespace ascend_sim::opapi {
namespace {

Tensor BitPlaces() { return at::tensor({1, 2, 4, 8, 16, 32, 64, 128}, at::kByte); }

void DrawMask(double drop, const at::Generator& generator, Tensor& mask) {
  const auto bits = at::empty({mask.numel(), 8}, at::kByte).bernoulli_(1 - drop, generator);
  Store(mask, (bits * BitPlaces()).sum(-1, /*keepdim=*/false, at::kByte));
}

// The kept elements are divided by the probability of being kept.
void DropOut(const Tensor& self, const Tensor& mask, double drop, Tensor& out) {
  const double scale = drop < 1 ? 1 / (1 - drop) : 0;
  const auto stays = DropoutStays(mask, self.numel()).view(self.sizes());
  Store(out, at::where(stays, self * scale, at::zeros({}, self.options())));
}

}  // namespace

Tensor DropoutStays(const Tensor& mask, int64_t elements) {
  const auto bits = mask.flatten().unsqueeze(-1).bitwise_and(BitPlaces()).ne(0).flatten();
  return bits.narrow(0, 0, elements);
}

ACLNN_OP(aclnnDropoutGenMask,
         (const Ints& /*shape*/, double drop, int64_t seed, int64_t offset, Tensor& mask)) {
  DrawMask(drop, GeneratorAt(seed, offset), mask);
}
ACLNN_OP(aclnnDropoutGenMaskV2, (const Ints& /*shape*/, double drop, int64_t seed, int64_t offset,
                                 DType /*of drop*/, Tensor& mask)) {
  DrawMask(drop, GeneratorAt(seed, offset), mask);
}
ACLNN_OP(aclnnDropoutGenMaskV2Tensor,
         (const Ints& /*shape*/, double drop, const Tensor& seed, const Tensor& offset,
          int64_t offset_in_graph, DType /*of drop*/, Tensor& mask)) {
  DrawMask(drop, GeneratorAt(seed, offset, offset_in_graph), mask);
}
ACLNN_OP(aclnnDropoutDoMask, (const Tensor& self, const Tensor& mask, double drop, Tensor& out)) {
  DropOut(self, mask, drop, out);
}

// Both steps in one operator, for the 950.
ACLNN_OP(aclnnDropoutV3, (const Tensor& self, const OptTensor& /*noise_shape: reserved*/,
                          double drop, int64_t seed, int64_t offset, Tensor& out, Tensor& mask)) {
  DrawMask(drop, GeneratorAt(seed, offset), mask);
  DropOut(self, mask, drop, out);
}
ACLNN_OP(aclnnDropoutV3Tensor, (const Tensor& self, const OptTensor& /*noise_shape: reserved*/,
                                double drop, const Tensor& seed, const Tensor& offset,
                                int64_t offset_in_graph, Tensor& out, Tensor& mask)) {
  DrawMask(drop, GeneratorAt(seed, offset, offset_in_graph), mask);
  DropOut(self, mask, drop, out);
}

}  // namespace ascend_sim::opapi
