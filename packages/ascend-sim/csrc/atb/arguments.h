// SPDX-License-Identifier: Apache-2.0
//
// What an operation is called with: tensors on the device, lengths in host memory.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "abi/atb.h"
#include "ascend_sim/launch.h"
#include "opapi/abi/format.h"
#include "opapi/base/list.h"

namespace ascend_sim::atb {

class Arguments {
 public:
  explicit Arguments(const ::atb::VariantPack& pack) : pack_(pack) {}

  // Refuses a call with other numbers of tensors.
  void Expect(size_t inputs, size_t outputs) const;

  at::Tensor Input(size_t index) const;
  opapi::FormattedTensor FormattedInput(size_t index) const;
  at::Tensor Output(size_t index) const;

  // The numbers of an int32 tensor in host memory, which is where ATB wants lengths.
  opapi::List<int64_t> Lengths(size_t index, const char* name) const;

  // What the operation touches, as a hazard check wants it.
  Touches TouchesOf() const;

 private:
  const ::atb::VariantPack& pack_;
};

}  // namespace ascend_sim::atb
