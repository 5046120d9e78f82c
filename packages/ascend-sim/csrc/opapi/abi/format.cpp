// SPDX-License-Identifier: Apache-2.0
#include "opapi/abi/format.h"

#include <algorithm>

#include "opapi/abi/tensor.h"

namespace ascend_sim::opapi {
namespace {

constexpr int64_t kBlockRows = 16;

int64_t CeilDiv(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }

// The blocks that a handle in NZ has as its storage, whatever its view.
at::Tensor BlocksOf(const aclTensor& handle) {
  const auto& sizes = handle.storage_dims;
  const auto rank = sizes.size();
  Require(rank >= 4 && sizes[rank - 2] == kBlockRows && sizes[rank - 1] > 0,
          "the storage of a FRACTAL_NZ tensor is [..., ceil(n / C0), ceil(m / 16), 16, C0], not ",
          at::IntArrayRef(sizes));
  aclTensor blocks;
  blocks.dims = sizes;
  blocks.strides = at::DimVector(rank);
  int64_t step = 1;
  for (size_t i = rank; i-- > 0; step *= sizes[i]) blocks.strides[i] = step;
  blocks.data_type = handle.data_type;
  blocks.format = kFormatNd;
  blocks.data = handle.data;
  return ViewOf(blocks);
}

}  // namespace

bool IsPlainFormat(int32_t format) {
  constexpr int32_t kUndefined = -1, kNchw = 0, kNhwc = 1, kNcdhw = 30, kNdhwc = 27, kNcl = 47;
  return format == kUndefined || format == kNchw || format == kNhwc || format == kFormatNd ||
         format == kNcdhw || format == kNdhwc || format == kNcl;
}

int64_t FractalWidth(int64_t element_size) { return 32 / std::min<int64_t>(element_size, 2); }

at::DimVector FractalSizes(at::IntArrayRef sizes, int64_t c0) {
  Require(sizes.size() >= 2, "FRACTAL_NZ takes matrices: 2 dimensions or more, not ", sizes.size());
  at::DimVector result(sizes.begin(), sizes.end() - 2);
  result.append(
      {CeilDiv(sizes.back(), c0), CeilDiv(sizes[sizes.size() - 2], kBlockRows), kBlockRows, c0});
  return result;
}

at::Tensor Unpack(const at::Tensor& blocks, int64_t rows, int64_t columns) {
  // [..., n1, m1, 16, C0] -> [..., m1, 16, n1, C0] -> [..., m, n]
  return blocks.movedim(-4, -2)
      .flatten(-2, -1)
      .flatten(-3, -2)
      .narrow(-2, 0, rows)
      .narrow(-1, 0, columns)
      .contiguous();
}

void Pack(const at::Tensor& matrices, at::Tensor blocks) {
  const auto n1 = blocks.size(-4), m1 = blocks.size(-3), c0 = blocks.size(-1);
  const auto padded = at::constant_pad_nd(
      matrices, {0, n1 * c0 - matrices.size(-1), 0, m1 * kBlockRows - matrices.size(-2)});
  blocks.copy_(padded.unflatten(-1, {n1, c0}).unflatten(-3, {m1, kBlockRows}).movedim(-2, -4));
}

FormattedTensor::FormattedTensor(const aclTensor& handle)
    : sizes_(handle.dims), fractal_(handle.format == kFormatNz) {
  if (!fractal_) {
    storage_ = ViewOf(handle);
    return;
  }
  storage_ = BlocksOf(handle);
  strides_ = handle.strides;
  offset_ = handle.offset;
  if (offset_ == 0 && storage_.sizes() == sizes_ && storage_.strides() == strides_) {
    ViewFilledMatrices();
  }
  // The last two dimensions of the view are those of the plain matrices, in either order (a
  // transposed weight).
  const auto rank = sizes_.size();
  Require(rank >= 2, "a view of a FRACTAL_NZ tensor must have 2 dimensions or more");
  const auto is = [&](size_t row, size_t column) {
    return strides_[column] == 1 && strides_[row] == sizes_[column];
  };
  const bool straight = is(rank - 2, rank - 1), transposed = is(rank - 1, rank - 2);
  rows_ = sizes_[straight ? rank - 2 : rank - 1];
  columns_ = sizes_[straight ? rank - 1 : rank - 2];
  const auto matrix = FractalSizes({rows_, columns_}, storage_.size(-1));
  const auto whole = storage_.sizes().slice(storage_.dim() - 4) == at::IntArrayRef(matrix);
  const auto matrices = c10::multiply_integers(storage_.sizes().slice(0, storage_.dim() - 4));
  int64_t last = offset_;
  for (size_t i = 0; i < rank; ++i) last += std::max<int64_t>(sizes_[i] - 1, 0) * strides_[i];
  Require(
      (straight || transposed) && whole &&
          last <= std::max<int64_t>(matrices * rows_ * columns_ - 1, 0),
      "a view of a FRACTAL_NZ tensor must be of whole matrices, transposed or not; it has sizes ",
      at::IntArrayRef(sizes_), ", strides ", at::IntArrayRef(strides_), ", the storage ",
      storage_.sizes());
}

int64_t FormattedTensor::size(int64_t dim) const {
  return sizes_[at::maybe_wrap_dim(dim, this->dim(), /*wrap_scalar=*/false)];
}

void RequireFractal(const FormattedTensor& tensor, const char* name) {
  Require(tensor.fractal(), name, " must be in format FRACTAL_NZ (29): torch_npu.npu_format_cast");
}

void FormattedTensor::ViewFilledMatrices() {
  const auto blocks = storage_.sizes();
  const auto rank = blocks.size();
  sizes_.assign(blocks.begin(), blocks.end() - 4);
  sizes_.append({blocks[rank - 3] * kBlockRows, blocks[rank - 4] * blocks[rank - 1]});
  const auto dense = c10::contiguous_strides(sizes_);
  strides_.assign(dense.begin(), dense.end());
}

FormattedTensor FormattedTensor::WithStorage(const at::Tensor& storage) const {
  FormattedTensor other = *this;
  other.storage_ = storage;
  return other;
}

at::Tensor FormattedTensor::Read() const {
  if (!fractal_) return storage_;
  return Unpack(storage_, rows_, columns_).as_strided(sizes_, strides_, offset_);
}

void FormattedTensor::Write(const at::Tensor& value) const {
  TORCH_CHECK(value.sizes() == sizes(), "the output has shape ", sizes(), ", the result ",
              value.sizes());
  if (!fractal_) {
    storage_.copy_(value);
    return;
  }
  const auto plain = Unpack(storage_, rows_, columns_);
  plain.as_strided(sizes_, strides_, offset_).copy_(value);
  Pack(plain, storage_);
}

}  // namespace ascend_sim::opapi
