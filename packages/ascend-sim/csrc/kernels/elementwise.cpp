// SPDX-License-Identifier: Apache-2.0
#include <c10/core/InferenceMode.h>

#include "kernels/view.h"

namespace ascend_sim::kernels {
namespace {

using at::BFloat16;
using at::Half;

template <class T>
KernelRun Add(KernelLaunch& launch, const T* x, const T* y, T* z, uint32_t rows, uint32_t columns) {
  const int64_t count = int64_t{rows} * columns;
  launch.Reads(x, count);
  launch.Reads(y, count);
  launch.Writes(z, count);
  return [=] {
    const c10::InferenceMode guard;
    auto sum = View(z, {count});
    at::add_out(sum, View(x, {count}), View(y, {count}));
  };
}

template <class From, class To>
KernelRun Cast(KernelLaunch& launch, const From* x, To* y, uint32_t count) {
  launch.Reads(x, count);
  launch.Writes(y, count);
  return [=] {
    const c10::InferenceMode guard;
    View(y, {count}).copy_(View(x, {count}));
  };
}

ASCEND_SIM_KERNEL(add_bfloat16_t, Add<BFloat16>);
ASCEND_SIM_KERNEL(add_float16_t, Add<Half>);
ASCEND_SIM_KERNEL(cast_bfloat16_t_float, Cast<BFloat16, float>);
ASCEND_SIM_KERNEL(cast_float_bfloat16_t, Cast<float, BFloat16>);

}  // namespace
}  // namespace ascend_sim::kernels
