// SPDX-License-Identifier: Apache-2.0
//
// Casts between formats. The caller asks for the sizes of the storage first and allocates it.
#include "opapi/abi/op.h"

namespace ascend_sim::opapi {

ACLNN_OP(aclnnNpuFormatCast, (const FormattedTensor& src, FormattedTensor& dst)) {
  dst.Write(src.Read());
}

}  // namespace ascend_sim::opapi

using namespace ascend_sim::opapi;

// The caller frees *dst_sizes with delete[], as torch_npu does. `width_type` is the dtype whose
// size gives the width of the blocks.
extern "C" [[gnu::visibility("default")]] int aclnnNpuFormatCastCalculateSizeAndFormat(
    const aclTensor* src, int dst_format, int width_type, int64_t** dst_sizes, uint64_t* dst_rank,
    int* actual_format) {
  constexpr auto kName = "aclnnNpuFormatCastCalculateSizeAndFormat";
  if (dst_sizes == nullptr || dst_rank == nullptr || actual_format == nullptr) {
    return ascend_sim::Fail(kParamNull, kName, "an output is null");
  }
  return ascend_sim::Call(kName, [&]() noexcept {
    try {
      const auto& handle = Alive(src, "srcTensor");
      Require(dst_format == kFormatNz || IsPlainFormat(dst_format), "dstFormat ", dst_format,
              " is not supported: ND (2) and FRACTAL_NZ (29) are");
      // torch_npu then calls Identity by name, as it must: it swaps source and destination.
      Require(IsPlainFormat(handle.format) != IsPlainFormat(dst_format), "srcTensor has format ",
              handle.format, " already, or one as plain");
      const auto sizes =
          dst_format != kFormatNz
              ? handle.dims
              : FractalSizes(handle.dims,
                             32 / static_cast<int64_t>(c10::elementSize(ScalarTypeOf(width_type))));
      *dst_sizes = std::copy(sizes.begin(), sizes.end(), new int64_t[sizes.size()]) - sizes.size();
      *dst_rank = sizes.size();
      *actual_format = dst_format;
      return kSuccess;
    } catch (...) {
      return FailPrepare(kName);
    }
  });
}
