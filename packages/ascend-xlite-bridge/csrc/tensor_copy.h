// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace ascend_xlite_bridge {

/// Tensors as code compiled against torch 2.10 reads them.
///
/// A handle is what such code holds as the pointer inside an at::Tensor. It counts its own owners,
/// as that code does it inline, and owns the tensor it stands for; the last owner frees both. It is
/// a snapshot: of a tensor that is resized or gets another storage afterwards, the handle has the
/// old sizes, and keeps the old storage alive. Any thread may free a handle.
using Handle = void*;

/// Returns a handle with one owner, the caller; an undefined tensor's is torch's own.
///
/// Throws if the tensor answers questions about its shape by virtual functions (symbolic sizes,
/// subclasses written in Python), which a handle does not have.
Handle MakeHandle(at::Tensor tensor);

/// Whether a handle was made here; false for the implementation of a tensor of the installed torch.
bool IsHandle(const void* handle);

/// The tensor that a handle, for which `IsHandle` is true, stands for.
const at::Tensor& TensorOf(const void* handle);

/// Gives back one owner.
void ReleaseHandle(Handle handle);

/// Handles that are alive in the process.
int64_t CountHandles();

/// Makes handles of tensors of many kinds and reads them as the compiled code would. Returns what
/// differs, "" if nothing does.
std::string CheckHandles();

}  // namespace ascend_xlite_bridge
