// SPDX-License-Identifier: Apache-2.0
//
// Generators for operators that draw numbers. Each gets the (seed, offset) pair that torch_npu's
// generator has advanced to, by value or, in a captured graph, as two tensors that the replay has
// updated plus the operator's place in the graph. The same pair gives the same numbers; they are
// not those of a device's Philox generator.
#pragma once

#include <ATen/ATen.h>

namespace ascend_sim::opapi {

at::Generator GeneratorAt(uint64_t seed, uint64_t offset);
at::Generator GeneratorAt(const at::Tensor& seed, const at::Tensor& offset,
                          int64_t offset_in_graph);

}  // namespace ascend_sim::opapi
