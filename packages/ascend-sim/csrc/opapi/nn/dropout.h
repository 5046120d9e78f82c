// SPDX-License-Identifier: Apache-2.0
//
// Masks of dropout: a bit for each element, from the lowest of each byte on, 1 for one that stays.
#pragma once

#include <ATen/ATen.h>

namespace ascend_sim::opapi {

// bool [elements]; `mask` may have more bits. Throws c10::Error if it has fewer.
at::Tensor DropoutStays(const at::Tensor& mask, int64_t elements);

}  // namespace ascend_sim::opapi
