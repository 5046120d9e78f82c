// SPDX-License-Identifier: Apache-2.0
//
// Runs operators by name. Nothing is compiled: the name chooses a function.
#include <cstdio>
#include <string>

#include "abi/acl.h"
#include "abi/codes.h"
#include "acl_op_compiler/operators.h"
#include "ascend_sim/call.h"
#include "ascend_sim/operand.h"
#include "opapi/abi/op.h"

namespace ascend_sim {
namespace {

using opapi::ParamError;
using opapi::Require;

opapi::FormattedTensor OperandOf(const aclTensorDesc* desc, const aclDataBuffer* buffer) {
  if (desc == nullptr || buffer == nullptr) {
    throw ParamError(kInvalidParam, "the description or the data of an operand is null");
  }
  aclTensor handle;
  handle.dims.assign(desc->sizes.begin(), desc->sizes.end());
  handle.strides = c10::contiguous_strides(handle.dims);
  handle.storage_dims.assign(desc->storage_sizes.begin(), desc->storage_sizes.end());
  handle.data_type = desc->data_type;
  handle.format = desc->storage_format;
  handle.data = buffer->data;
  return opapi::FormattedTensor(handle);
}

bool InHostMemory(const aclTensorDesc* desc) { return desc != nullptr && desc->placement != 0; }

template <class T>
opapi::Ints ValuesOf(const aclDataBuffer& buffer, int64_t count) {
  Require(buffer.data != nullptr && static_cast<size_t>(count) <= buffer.bytes / sizeof(T),
          "an operand in host memory is smaller than described");
  const auto* values = static_cast<const T*>(buffer.data);
  return {values, values + count};
}

opapi::Ints NumbersOf(const aclTensorDesc& desc, const aclDataBuffer* buffer) {
  if (buffer == nullptr) throw ParamError(kInvalidParam, "the data of an operand is null");
  const auto count = c10::multiply_integers(desc.sizes);
  Require(count >= 0, "an operand has a negative size");
  switch (opapi::ScalarTypeOf(desc.data_type)) {
    case at::kInt:
      return ValuesOf<int32_t>(*buffer, count);
    case at::kLong:
      return ValuesOf<int64_t>(*buffer, count);
    default:
      throw ParamError(opapi::kParamInvalid, "operands in host memory must be int32 or int64");
  }
}

// An operand that the caller leaves out has no dtype.
bool IsAbsent(const aclTensorDesc* desc) { return desc != nullptr && desc->data_type == -1; }

int Execute(const char* call, const char* name, int input_count,
            const aclTensorDesc* const input_descs[], const aclDataBuffer* const inputs[],
            int output_count, const aclTensorDesc* const output_descs[],
            const aclDataBuffer* const outputs[], const aclopAttr* attributes,
            void* stream) noexcept {
  if (name == nullptr) return Fail(kInvalidParam, call, "opType is null");
  const std::string what = std::string(call) + "(" + name + ")";
  const auto* const op = FindOperator(name);
  if (op == nullptr) {
    const auto why = what + " is not implemented by ascend-sim (see `ascend-sim coverage`)";
    std::fprintf(stderr, "[ascend-sim] %s\n", why.c_str());  // as a stub does
    return Fail(kNotSupported, what.c_str(), why);
  }
  try {
    NamedCall operands;
    for (int i = 0; i < input_count; ++i) {
      if (IsAbsent(input_descs[i])) continue;
      if (InHostMemory(input_descs[i])) {
        operands.numbers.push_back(NumbersOf(*input_descs[i], inputs[i]));
      } else {
        operands.inputs.push_back(OperandOf(input_descs[i], inputs[i]));
      }
    }
    for (int i = 0; i < output_count; ++i) {
      Require(!InHostMemory(output_descs[i]), "outputs in host memory are not supported");
      if (!IsAbsent(output_descs[i])) {
        operands.outputs.push_back(OperandOf(output_descs[i], outputs[i]));
      }
    }
    const auto in = operands.inputs.size(), lists = operands.numbers.size(),
               out = operands.outputs.size();
    Require(in >= op->inputs && lists == op->numbers && out == op->outputs, "expected ", op->inputs,
            " inputs, ", op->numbers, " in host memory and ", op->outputs, " outputs, not ", in,
            ", ", lists, " and ", out);
    Touches touches;
    if (TouchesWanted()) {
      for (const auto& tensor : operands.inputs) opapi::AddTouch(touches, tensor.storage(), false);
      for (const auto& tensor : operands.outputs) opapi::AddTouch(touches, tensor.storage(), true);
    }
    if (attributes != nullptr) operands.attributes = *attributes;
    auto body = [op, operands = std::move(operands)] { op->body(operands); };
    return opapi::LaunchKernel(op->name, std::move(body), std::move(touches), stream);
  } catch (...) {
    return opapi::FailPrepare(what.c_str());
  }
}

}  // namespace
}  // namespace ascend_sim

ASCEND_SIM_ABI aclError
aclopCompileAndExecute(const char* name, int input_count, const aclTensorDesc* const input_descs[],
                       const aclDataBuffer* const inputs[], int output_count,
                       const aclTensorDesc* const output_descs[], aclDataBuffer* const outputs[],
                       const aclopAttr* attributes, int /*engine*/, int /*compile*/,
                       const char* /*path*/, aclrtStream stream) {
  constexpr auto kCall = "aclopCompileAndExecute";
  return ascend_sim::Call(kCall, [&]() noexcept {
    return ascend_sim::Execute(kCall, name, input_count, input_descs, inputs, output_count,
                               output_descs, outputs, attributes, stream);
  });
}

// As above for operators that decide the shapes of their outputs, of which there are none here.
ASCEND_SIM_ABI aclError
aclopCompileAndExecuteV2(const char* name, int input_count, aclTensorDesc* input_descs[],
                         aclDataBuffer* inputs[], int output_count, aclTensorDesc* output_descs[],
                         aclDataBuffer* outputs[], const aclopAttr* attributes, int /*engine*/,
                         int /*compile*/, const char* /*path*/, aclrtStream stream) {
  constexpr auto kCall = "aclopCompileAndExecuteV2";
  return ascend_sim::Call(kCall, [&]() noexcept {
    return ascend_sim::Execute(kCall, name, input_count, input_descs, inputs, output_count,
                               output_descs, outputs, attributes, stream);
  });
}
