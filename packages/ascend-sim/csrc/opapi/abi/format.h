// SPDX-License-Identifier: Apache-2.0
//
// FRACTAL_NZ, the private format of matrices that a device's matrix unit reads: the last two
// dimensions [m, n] are cut into blocks of 16 rows by C0 columns, padded with zeros and stored as
// [ceil(n / C0), ceil(m / 16), 16, C0]. C0 is usually 32 bytes; the storage says what it is.
//
// An operator takes it where a parameter is a FormattedTensor; a plain Tensor rejects it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "ascend_sim/launch.h"
#include "opapi/base/list.h"

struct aclTensor;

namespace ascend_sim::opapi {

inline constexpr int32_t kFormatNd = 2;
inline constexpr int32_t kFormatNz = 29;

// True for the formats whose storage is the strided one that torch knows.
bool IsPlainFormat(int32_t format);

// The sizes of the storage of matrices [..., m, n] with blocks of `c0` columns.
ASCEND_SIM_EXPORT at::DimVector FractalSizes(at::IntArrayRef sizes, int64_t c0);

// Columns of a block of elements of this size: 32 bytes, but 4-byte elements count as 2-byte ones
// (torch_npu's rule; so does the device's matrix unit).
ASCEND_SIM_EXPORT int64_t FractalWidth(int64_t element_size);

// Matrices [..., rows, columns] out of their blocks; a copy.
ASCEND_SIM_EXPORT at::Tensor Unpack(const at::Tensor& blocks, int64_t rows, int64_t columns);

// Writes matrices and the zeros around them into blocks.
ASCEND_SIM_EXPORT void Pack(const at::Tensor& matrices, at::Tensor blocks);

// A tensor in a plain format or in FRACTAL_NZ. Its elements are to be read and written by the body
// of the operator, on the stream, since reading may copy.
class ASCEND_SIM_EXPORT FormattedTensor {
 public:
  explicit FormattedTensor(const aclTensor& handle);

  // The elements with the sizes and strides of the handle. In a plain format, the memory itself.
  at::Tensor Read() const;

  // Copies `value` into the whole tensor, converting neither shape nor dtype.
  void Write(const at::Tensor& value) const;

  bool fractal() const { return fractal_; }
  at::IntArrayRef sizes() const { return sizes_; }
  int64_t dim() const { return static_cast<int64_t>(sizes_.size()); }
  int64_t size(int64_t dim) const;  // as of an at::Tensor: -1 is the last; throws beyond them
  at::ScalarType scalar_type() const { return storage_.scalar_type(); }
  const at::Tensor& storage() const { return storage_; }  // the blocks, or the plain tensor

  // The same for other memory.
  FormattedTensor WithStorage(const at::Tensor& storage) const;

 private:
  // A view of the blocks themselves, such as a weight [e, n1, k1, 16, C0]
  // (npu_grouped_matmul_swiglu_quant_v2.md), stands for the matrices that fill them.
  void ViewFilledMatrices();

  at::Tensor storage_;
  at::DimVector sizes_;
  bool fractal_ = false;
  // In NZ, the view that the handle is of plain matrices [..., rows, columns].
  at::DimVector strides_;
  int64_t offset_ = 0;
  int64_t rows_ = 0, columns_ = 0;
};

// Rejects a tensor in another format.
void RequireFractal(const FormattedTensor& tensor, const char* name);

using FormattedTensors = List<FormattedTensor>;

}  // namespace ascend_sim::opapi
