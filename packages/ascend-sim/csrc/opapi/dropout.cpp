// SPDX-License-Identifier: Apache-2.0
//
// Dropout. A mask has a bit for each element, from the lowest of each byte on, 1 for one that
// stays.
#include "op.h"
#include "random.h"
#include "store.h"

namespace ascend_sim::opapi {
namespace {

Tensor BitPlaces() { return at::tensor({1, 2, 4, 8, 16, 32, 64, 128}, at::kByte); }

void DrawMask(double drop, const at::Generator& generator, Tensor& mask) {
  const auto bits = at::empty({mask.numel(), 8}, at::kByte).bernoulli_(1 - drop, generator);
  Store(mask, (bits * BitPlaces()).sum(-1, /*keepdim=*/false, at::kByte));
}

Tensor Stays(const Tensor& mask, const Tensor& self) {
  const auto bits = mask.flatten().unsqueeze(-1).bitwise_and(BitPlaces()).ne(0).flatten();
  return bits.narrow(0, 0, self.numel()).view(self.sizes());
}

}  // namespace

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
// What stays is divided by the share that does.
ACLNN_OP(aclnnDropoutDoMask, (const Tensor& self, const Tensor& mask, double drop, Tensor& out)) {
  const double scale = drop < 1 ? 1 / (1 - drop) : 0;
  Store(out, at::where(Stays(mask, self), self * scale, at::zeros({}, self.options())));
}

}  // namespace ascend_sim::opapi
