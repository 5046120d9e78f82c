// SPDX-License-Identifier: Apache-2.0
#include "atb/arguments.h"

#include "opapi/abi/tensor.h"

namespace ascend_sim::atb {
namespace {

using opapi::Require;

const ::atb::Tensor& At(const ::atb::SVector<::atb::Tensor>& tensors, size_t index,
                        const char* kind) {
  Require(index < tensors.count, kind, " ", index, " is missing: there are ", tensors.count);
  return tensors[index];
}

aclTensor HandleOf(const ::atb::Tensor& tensor, const char* kind, size_t index) {
  Require(tensor.deviceData != nullptr || tensor.dataSize == 0, kind, " ", index,
          " must be in device memory");
  aclTensor handle;
  handle.dims.assign(tensor.desc.shape.dims, tensor.desc.shape.dims + tensor.desc.shape.dimNum);
  handle.strides = c10::contiguous_strides(handle.dims);
  handle.data_type = tensor.desc.dtype;
  handle.format = tensor.desc.format;
  handle.data = tensor.deviceData;
  if (handle.format == opapi::kFormatNz) {
    const auto size = c10::elementSize(opapi::ScalarTypeOf(handle.data_type));
    handle.storage_dims =
        opapi::FractalSizes(handle.dims, opapi::FractalWidth(static_cast<int64_t>(size)));
  }
  return handle;
}

}  // namespace

void Arguments::Expect(size_t inputs, size_t outputs) const {
  Require(pack_.inTensors.count == inputs && pack_.outTensors.count == outputs, "expected ", inputs,
          " inputs and ", outputs, " outputs, not ", pack_.inTensors.count, " and ",
          pack_.outTensors.count);
}

at::Tensor Arguments::Input(size_t index) const {
  return opapi::ViewOf(HandleOf(At(pack_.inTensors, index, "input"), "input", index));
}

opapi::FormattedTensor Arguments::FormattedInput(size_t index) const {
  return opapi::FormattedTensor(HandleOf(At(pack_.inTensors, index, "input"), "input", index));
}

at::Tensor Arguments::Output(size_t index) const {
  return opapi::ViewOf(HandleOf(At(pack_.outTensors, index, "output"), "output", index));
}

opapi::List<int64_t> Arguments::Lengths(size_t index, const char* name) const {
  const auto& tensor = At(pack_.inTensors, index, "input");
  constexpr int32_t kInt32 = 3;
  Require(tensor.hostData != nullptr && tensor.desc.dtype == kInt32, name,
          " must be an int32 tensor in host memory (a CPU tensor)");
  const auto* const values = static_cast<const int32_t*>(tensor.hostData);
  return {values, values + tensor.dataSize / sizeof(int32_t)};
}

Touches Arguments::TouchesOf() const {
  Touches touches;
  const auto add = [&](const ::atb::SVector<::atb::Tensor>& tensors, bool write) {
    for (size_t i = 0; i < tensors.count; ++i) {
      if (tensors[i].deviceData != nullptr && tensors[i].dataSize > 0) {
        touches.push_back({tensors[i].deviceData, tensors[i].dataSize, write});
      }
    }
  };
  add(pack_.inTensors, false);
  add(pack_.outTensors, true);
  return touches;
}

}  // namespace ascend_sim::atb
