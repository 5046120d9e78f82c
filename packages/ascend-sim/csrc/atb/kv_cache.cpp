// SPDX-License-Identifier: Apache-2.0
//
// Writes tokens into a paged cache. Slots below 0 are skipped.
#include "atb/operation.h"

namespace ascend_sim::atb {
namespace {

using at::Tensor;
using ::atb::infer::ReshapeAndCacheParam;
using opapi::Require;

// A cache in NZ, [blocks, elements / C0, block size, C0]: in these sizes its storage is plain.
Tensor FractalPaged(const opapi::FormattedTensor& cache, const char* name) {
  const auto sizes = cache.sizes();
  const auto width =
      opapi::FractalWidth(static_cast<int64_t>(c10::elementSize(cache.scalar_type())));
  Require(cache.fractal() && sizes.size() == 4 && sizes[2] % 16 == 0 && sizes[3] == width, name,
          " must be in FRACTAL_NZ with sizes [blocks, heads * head size / ", width,
          ", block size, ", width, "], not ", sizes);
  return cache.storage().view(sizes).transpose(1, 2);
}

void Write(const Tensor& tokens, const Tensor& slots, Tensor cache) {
  const auto kept = slots.ge(0).nonzero().squeeze(1);
  const auto slot = slots.index_select(0, kept).to(at::kLong);
  const auto block = slot.div(cache.size(1), "floor"), offset = slot.remainder(cache.size(1));
  const auto rows = tokens.index_select(0, kept);
  auto sizes = cache.sizes().slice(1).vec();
  sizes[0] = rows.size(0);
  cache.index_put_({block, offset}, rows.reshape(sizes));
}

void RequireFits(const Tensor& tokens, const Tensor& slots, const Tensor& cache, const char* name) {
  Require(slots.dim() == 1 && slots.scalar_type() == at::kInt && slots.size(0) == tokens.size(0),
          "slot_indices must be an int32 tensor with an element per token");
  Require(cache.dim() >= 3 && cache.scalar_type() == tokens.scalar_type() &&
              tokens.numel() * cache.size(0) * cache.size(1) == cache.numel() * tokens.size(0),
          name, " of shape ", cache.sizes(), " does not take tokens of shape ", tokens.sizes(),
          " and their dtype");
}

}  // namespace
}  // namespace ascend_sim::atb

// Inputs: key, [value], key cache, [value cache], slots. Outputs: the caches, in place.
ASCEND_SIM_ATB_OPERATION(ReshapeAndCacheParam, "ReshapeCacheOperation", 5, 2) {
  Require(param.compressType == 0, "compressType is not supported");
  Require(param.kvCacheCfg >= ReshapeAndCacheParam::kKeyAndValue &&
              param.kvCacheCfg <= ReshapeAndCacheParam::kKeyAndValueNz,
          "kvCacheCfg ", param.kvCacheCfg, " is not supported: 0, 1 and 2 are");
  const auto cache_at = [&](size_t index, const char* name) {
    return param.kvCacheCfg == ReshapeAndCacheParam::kKeyAndValueNz
               ? FractalPaged(arguments.FormattedInput(index), name)
               : arguments.Input(index);
  };
  if (param.kvCacheCfg == ReshapeAndCacheParam::kKeyOnly) {
    arguments.Expect(3, 1);
    const auto key = arguments.Input(0), cache = arguments.Input(1), slots = arguments.Input(2);
    RequireFits(key, slots, cache, "key_cache");
    return [=] { Write(key, slots, cache); };
  }
  arguments.Expect(5, 2);
  const auto key = arguments.Input(0), value = arguments.Input(1), slots = arguments.Input(4);
  const auto key_cache = cache_at(2, "key_cache"), value_cache = cache_at(3, "value_cache");
  RequireFits(key, slots, key_cache, "key_cache");
  RequireFits(value, slots, value_cache, "value_cache");
  return [=] {
    Write(key, slots, key_cache);
    Write(value, slots, value_cache);
  };
}
