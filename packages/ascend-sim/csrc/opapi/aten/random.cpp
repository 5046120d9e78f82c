// SPDX-License-Identifier: Apache-2.0
//
// Random numbers.
#include "opapi/aten/random.h"

#include "opapi/abi/op.h"
#include "opapi/abi/store.h"

namespace ascend_sim::opapi {

// Mixes both numbers, so that neighbouring offsets give unrelated streams (the finalizer of
// SplitMix64).
at::Generator GeneratorAt(uint64_t seed, uint64_t offset) {
  uint64_t state = seed + (offset + 1) * 0x9E3779B97F4A7C15ull;
  state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9ull;
  state = (state ^ (state >> 27)) * 0x94D049BB133111EBull;
  return at::make_generator<at::CPUGeneratorImpl>(state ^ (state >> 31));
}

at::Generator GeneratorAt(const Tensor& seed, const Tensor& offset, int64_t offset_in_graph) {
  return GeneratorAt(seed.item().toLong(), offset.item().toLong() + offset_in_graph);
}

ACLNN_OP(aclnnInplaceUniform,
         (Tensor & self, double from, double to, int64_t seed, int64_t offset)) {
  self.uniform_(from, to, GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnInplaceUniformTensor, (Tensor & self, double from, double to, const Tensor& seed,
                                     const Tensor& offset, int64_t offset_in_graph)) {
  self.uniform_(from, to, GeneratorAt(seed, offset, offset_in_graph));
}
ACLNN_OP(aclnnInplaceNormal, (Tensor & self, float mean, float std, int64_t seed, int64_t offset)) {
  self.normal_(mean, std, GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnInplaceNormalTensor, (Tensor & self, float mean, float std, const Tensor& seed,
                                    const Tensor& offset, int64_t offset_in_graph)) {
  self.normal_(mean, std, GeneratorAt(seed, offset, offset_in_graph));
}
ACLNN_OP(aclnnInplaceRandom,
         (Tensor & self, int64_t from, int64_t to, int64_t seed, int64_t offset)) {
  self.random_(from, to, GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnInplaceRandomTensor, (Tensor & self, int64_t from, int64_t to, const Tensor& seed,
                                    const Tensor& offset, int64_t offset_in_graph)) {
  self.random_(from, to, GeneratorAt(seed, offset, offset_in_graph));
}
ACLNN_OP(aclnnInplaceRandomWithoutFromTo, (Tensor & self, int64_t seed, int64_t offset)) {
  self.random_(GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnInplaceRandomWithoutFromToTensor,
         (Tensor & self, const Tensor& seed, const Tensor& offset, int64_t offset_in_graph)) {
  self.random_(GeneratorAt(seed, offset, offset_in_graph));
}
// exponential_ on the 950, and in a graph there; elsewhere torch_npu computes it from uniform
// numbers.
ACLNN_PLANNED_OP(aclnnSimThreadExponential,
                 (Tensor & self, int64_t count, double lambda, int64_t seed, int64_t offset)) {
  Require(count == self.numel(), "count must be ", self.numel(), ", the elements of self, got ",
          count);
  Require(lambda > 0, "lambda must be positive, got ", lambda);
  return [=]() mutable { self.exponential_(lambda, GeneratorAt(seed, offset)); };
}
ACLNN_PLANNED_OP(aclnnStatelessExponentialTensor,
                 (Tensor & self, const Tensor& seed, const Tensor& offset, int64_t offset_in_graph,
                  double lambda)) {
  Require(lambda > 0, "lambda must be positive, got ", lambda);
  return [=]() mutable { self.exponential_(lambda, GeneratorAt(seed, offset, offset_in_graph)); };
}
ACLNN_OP(aclnnInplaceBernoulli,
         (Tensor & self, const Scalar& probability, int64_t seed, int64_t offset)) {
  self.bernoulli_(probability.toDouble(), GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnInplaceBernoulliTensor,
         (Tensor & self, const Tensor& probability, int64_t seed, int64_t offset)) {
  self.bernoulli_(probability, GeneratorAt(seed, offset));
}
// Checks that so many samples can be drawn from each row of `self`, and that `out` has room.
static void RequireSamples(const Tensor& self, int64_t num_samples, bool replacement,
                           const Tensor& out) {
  Require(self.dim() == 1 || self.dim() == 2, "self must have 1 or 2 dimensions, got ", self.dim());
  Require(num_samples > 0, "numsamples must be positive, got ", num_samples);
  Require(replacement || num_samples <= self.size(-1), "numsamples must be at most ", self.size(-1),
          ", the categories of self, got ", num_samples);
  int64_t elements = num_samples;
  Require(self.dim() == 1 || !__builtin_mul_overflow(elements, self.size(0), &elements),
          "numsamples is too large: ", num_samples);
  Require(elements == out.numel(), "out must have ", elements, " elements, got ", out.numel());
}
ACLNN_PLANNED_OP(aclnnMultinomial, (const Tensor& self, int64_t num_samples, bool replacement,
                                    int64_t seed, int64_t offset, Tensor& out)) {
  RequireSamples(self, num_samples, replacement, out);
  return [=]() mutable {
    Store(out, at::multinomial(self, num_samples, replacement, GeneratorAt(seed, offset)));
  };
}
ACLNN_PLANNED_OP(aclnnMultinomialTensor,
                 (const Tensor& self, int64_t num_samples, bool replacement, const Tensor& seed,
                  const Tensor& offset, int64_t offset_in_graph, Tensor& out)) {
  RequireSamples(self, num_samples, replacement, out);
  return [=]() mutable {
    Store(out, at::multinomial(self, num_samples, replacement,
                               GeneratorAt(seed, offset, offset_in_graph)));
  };
}
ACLNN_OP(aclnnRandperm, (int64_t n, int64_t seed, int64_t offset, Tensor& out)) {
  RequireElements(out, n, "n numbers");
  Store(out, at::randperm(n, GeneratorAt(seed, offset), at::kLong));
}
ACLNN_OP(aclnnNormalFloatFloat,
         (float mean, float std, int64_t seed, int64_t offset, Tensor& out)) {
  out.normal_(mean, std, GeneratorAt(seed, offset));
}
ACLNN_OP(aclnnNormalFloatTensor,
         (float mean, const Tensor& std, int64_t seed, int64_t offset, Tensor& out)) {
  Store(out, at::normal(mean, std, GeneratorAt(seed, offset)));
}
ACLNN_OP(aclnnNormalTensorFloat,
         (const Tensor& mean, float std, int64_t seed, int64_t offset, Tensor& out)) {
  Store(out, at::normal(mean, std, GeneratorAt(seed, offset)));
}
ACLNN_OP(aclnnNormalTensorTensor,
         (const Tensor& mean, const Tensor& std, int64_t seed, int64_t offset, Tensor& out)) {
  Store(out, at::normal(mean, std, GeneratorAt(seed, offset)));
}

}  // namespace ascend_sim::opapi
