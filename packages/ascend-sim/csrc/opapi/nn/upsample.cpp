// SPDX-License-Identifier: Apache-2.0
//
// Interpolation. torch_npu passes 0 or -1 for a scale that was not given.
#include "opapi/abi/op.h"
#include "opapi/abi/store.h"
#include "opapi/numerics/wide.h"

namespace ascend_sim::opapi {
namespace {

std::optional<double> Scale(double value) {
  return value > 0 ? std::optional(value) : std::nullopt;
}

}  // namespace

// --- nearest ------------------------------------------------------------------------------------

ACLNN_OP(aclnnUpsampleNearest1d, (const Tensor& self, const Ints& output_size, Tensor& out)) {
  Store(out, at::upsample_nearest1d(self, output_size));
}
ACLNN_OP(aclnnUpsampleNearest1dV2,
         (const Tensor& self, const Ints& output_size, float scale, Tensor& out)) {
  Store(out, at::upsample_nearest1d(self, output_size, Scale(scale)));
}
ACLNN_OP(aclnnUpsampleNearest2d, (const Tensor& self, const Ints& output_size, Tensor& out)) {
  Store(out, at::upsample_nearest2d(self, output_size));
}
ACLNN_OP(aclnnUpsampleNearest2dV2,
         (const Tensor& self, const Ints& output_size, float scale_h, float scale_w, Tensor& out)) {
  Store(out, at::upsample_nearest2d(self, output_size, Scale(scale_h), Scale(scale_w)));
}

// Name and NameBackward for one, two and three dimensions.
#define UPSAMPLE_1D(Name, function)                                                    \
  ACLNN_OP(aclnnUpsample##Name,                                                        \
           (const Tensor& self, const Ints& output_size, double scale, Tensor& out)) { \
    Store(out, at::function(self, output_size, Scale(scale)));                         \
  }                                                                                    \
  UPSAMPLE_1D_BACKWARD(Name, function)
#define UPSAMPLE_1D_BACKWARD(Name, function)                                                   \
  ACLNN_OP(aclnnUpsample##Name##Backward,                                                      \
           (const Tensor& grad, const Ints& output_size, const Ints& input_size, double scale, \
            Tensor& grad_input)) {                                                             \
    Store(grad_input, at::function##_backward(grad, output_size, input_size, Scale(scale)));   \
  }
#define UPSAMPLE_2D(Name, function)                                                           \
  ACLNN_OP(aclnnUpsample##Name, (const Tensor& self, const Ints& output_size, double scale_h, \
                                 double scale_w, Tensor& out)) {                              \
    Store(out, at::function(self, output_size, Scale(scale_h), Scale(scale_w)));              \
  }                                                                                           \
  UPSAMPLE_2D_BACKWARD(Name, function)
#define UPSAMPLE_2D_BACKWARD(Name, function)                                                       \
  ACLNN_OP(aclnnUpsample##Name##Backward,                                                          \
           (const Tensor& grad, const Ints& output_size, const Ints& input_size, double scale_h,   \
            double scale_w, Tensor& grad_input)) {                                                 \
    Store(grad_input,                                                                              \
          at::function##_backward(grad, output_size, input_size, Scale(scale_h), Scale(scale_w))); \
  }
#define UPSAMPLE_3D(Name, function)                                                              \
  ACLNN_OP(aclnnUpsample##Name, (const Tensor& self, const Ints& output_size, double scale_d,    \
                                 double scale_h, double scale_w, Tensor& out)) {                 \
    Store(out, at::function(self, output_size, Scale(scale_d), Scale(scale_h), Scale(scale_w))); \
  }                                                                                              \
  ACLNN_OP(aclnnUpsample##Name##Backward,                                                        \
           (const Tensor& grad, const Ints& output_size, const Ints& input_size, double scale_d, \
            double scale_h, double scale_w, Tensor& grad_input)) {                               \
    Store(grad_input, at::function##_backward(grad, output_size, input_size, Scale(scale_d),     \
                                              Scale(scale_h), Scale(scale_w)));                  \
  }

UPSAMPLE_1D_BACKWARD(Nearest1d, upsample_nearest1d)
UPSAMPLE_2D_BACKWARD(Nearest2d, upsample_nearest2d)
UPSAMPLE_3D(Nearest3d, upsample_nearest3d)
UPSAMPLE_1D(NearestExact1d, _upsample_nearest_exact1d)
UPSAMPLE_2D(NearestExact2d, _upsample_nearest_exact2d)
UPSAMPLE_3D(NearestExact3d, _upsample_nearest_exact3d)

// --- linear and cubic ---------------------------------------------------------------------------

ACLNN_OP(aclnnUpsampleLinear1d, (const Tensor& self, const Ints& output_size, bool align_corners,
                                 double scale, Tensor& out)) {
  Store(out, at::upsample_linear1d(self, output_size, align_corners, Scale(scale)));
}
ACLNN_OP(aclnnUpsampleLinear1dBackward,
         (const Tensor& grad, const Ints& output_size, const Ints& input_size, bool align_corners,
          double scale, Tensor& grad_input)) {
  Store(grad_input,
        at::upsample_linear1d_backward(grad, output_size, input_size, align_corners, Scale(scale)));
}

#define SMOOTH_2D(Name, function)                                                                 \
  ACLNN_OP(aclnnUpsample##Name, (const Tensor& self, const Ints& output_size, bool align_corners, \
                                 double scale_h, double scale_w, Tensor& out)) {                  \
    Store(out,                                                                                    \
          at::function(Wide(self), output_size, align_corners, Scale(scale_h), Scale(scale_w)));  \
  }
#define SMOOTH_2D_BACKWARD(Name, function)                                             \
  ACLNN_OP(aclnnUpsample##Name,                                                        \
           (const Tensor& grad, const Ints& output_size, const Ints& input_size,       \
            bool align_corners, double scale_h, double scale_w, Tensor& grad_input)) { \
    Store(grad_input, at::function(Wide(grad), output_size, input_size, align_corners, \
                                   Scale(scale_h), Scale(scale_w)));                   \
  }

SMOOTH_2D(Bilinear2d, upsample_bilinear2d)
SMOOTH_2D(Bilinear2dAA, _upsample_bilinear2d_aa)
SMOOTH_2D(Bicubic2d, upsample_bicubic2d)
SMOOTH_2D(Bicubic2dAA, _upsample_bicubic2d_aa)
SMOOTH_2D_BACKWARD(Bilinear2dBackward, upsample_bilinear2d_backward)
SMOOTH_2D_BACKWARD(Bilinear2dBackwardV2, upsample_bilinear2d_backward)
SMOOTH_2D_BACKWARD(Bilinear2dAABackward, _upsample_bilinear2d_aa_backward)
SMOOTH_2D_BACKWARD(Bicubic2dBackward, upsample_bicubic2d_backward)
SMOOTH_2D_BACKWARD(Bicubic2dAAGrad, _upsample_bicubic2d_aa_backward)

ACLNN_OP(aclnnUpsampleTrilinear3d, (const Tensor& self, const Ints& output_size, bool align_corners,
                                    double scale_d, double scale_h, double scale_w, Tensor& out)) {
  Store(out, at::upsample_trilinear3d(self, output_size, align_corners, Scale(scale_d),
                                      Scale(scale_h), Scale(scale_w)));
}
ACLNN_OP(aclnnUpsampleTrilinear3dBackward,
         (const Tensor& grad, const Ints& output_size, const Ints& input_size, bool align_corners,
          double scale_d, double scale_h, double scale_w, Tensor& grad_input)) {
  Store(grad_input,
        at::upsample_trilinear3d_backward(grad, output_size, input_size, align_corners,
                                          Scale(scale_d), Scale(scale_h), Scale(scale_w)));
}

}  // namespace ascend_sim::opapi
