// SPDX-License-Identifier: Apache-2.0
//
// Sampling of planes and volumes at the points of a grid.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {

ACLNN_OP(aclnnAffineGrid,
         (const Tensor& theta, const Ints& size, bool align_corners, Tensor& out)) {
  Store(out, at::affine_grid_generator(theta, size, align_corners));
}

#define GRID_SAMPLER(Name, function)                                                            \
  ACLNN_OP(aclnn##Name, (const Tensor& input, const Tensor& grid, int64_t interpolation,        \
                         int64_t padding, bool align_corners, Tensor& out)) {                   \
    Store(out, at::function(input, grid, interpolation, padding, align_corners));               \
  }                                                                                             \
  ACLNN_OP(aclnn##Name##Backward,                                                               \
           (const Tensor& grad, const Tensor& input, const Tensor& grid, int64_t interpolation, \
            int64_t padding, bool align_corners, const Bools& wanted, OptTensor& grad_input,    \
            OptTensor& grad_grid)) {                                                            \
    auto [by_input, by_grid] =                                                                  \
        at::function##_backward(Wide(grad), Wide(input), Wide(grid), interpolation, padding,    \
                                align_corners, {wanted.at(0), wanted.at(1)});                   \
    StoreIf(wanted[0], grad_input, by_input);                                                   \
    StoreIf(wanted[1], grad_grid, by_grid);                                                     \
  }

GRID_SAMPLER(GridSampler2D, grid_sampler_2d)
GRID_SAMPLER(GridSampler3D, grid_sampler_3d)

}  // namespace ascend_sim::opapi
