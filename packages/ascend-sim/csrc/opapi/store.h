// SPDX-License-Identifier: Apache-2.0
//
// Writing results into outputs that the caller has allocated.
#pragma once

#include <ATen/ATen.h>

namespace ascend_sim::opapi {

// Copies `result` into `out`, converting the dtype. Sizes of 1 may differ (aclnn outputs sometimes
// keep or drop them); any other difference is an error, because copy_ would broadcast it silently.
inline void Store(at::Tensor& out, const at::Tensor& result) {
  if (out.sizes() == result.sizes()) {
    out.copy_(result);
    return;
  }
  TORCH_CHECK(out.numel() == result.numel(), "the output has shape ", out.sizes(),
              ", the result has shape ", result.sizes());
  out.copy_(result.reshape(out.sizes()));
}

}  // namespace ascend_sim::opapi
