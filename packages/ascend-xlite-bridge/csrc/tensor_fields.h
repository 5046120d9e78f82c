// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/TensorImpl.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace ascend_xlite_bridge {

/// Where a c10::TensorImpl keeps its sizes and strides, in bytes from its start.
///
/// It is the one place in which layouts differ here: before it are the virtual table, the counts,
/// the storage, the metadata and a slot for the Python object, which torch 2.10 had in two words
/// and later versions have in one; after it, everything has moved along.
///
/// Measured on a tensor, not assumed. Throws if the fields after it are not where they were in
/// every torch that is known.
std::size_t MeasureSizesOffset();

/// Bytes of a TensorImpl from its sizes on.
inline constexpr std::size_t kTailBytes = 120;

/// Compares what a compiled reader would see in a TensorImpl with what torch says about the tensor.
///
/// `impl` is memory in the layout whose sizes are at `sizes_offset`. Returns the name of the first
/// field that differs, "" if none does.
std::string DifferingField(const void* impl, std::size_t sizes_offset, const at::Tensor& tensor);

}  // namespace ascend_xlite_bridge
