// SPDX-License-Identifier: Apache-2.0
//
// Runs operators by name. Nothing is compiled: the name chooses a function.
#include <cstdio>
#include <string>

#include "abi/acl.h"
#include "abi/codes.h"
#include "ascend_sim/call.h"
#include "ascend_sim/operand.h"
#include "opapi/op.h"
#include "operators.h"

namespace ascend_sim {
namespace {

using opapi::ParamError;
using opapi::Require;

opapi::FormattedTensor OperandOf(const aclTensorDesc* desc, const aclDataBuffer* buffer) {
  if (desc == nullptr || buffer == nullptr) {
    throw ParamError(kInvalidParam, "the description or the data of an operand is null");
  }
  Require(desc->placement == 0, "operands in host memory are not supported");
  aclTensor handle;
  handle.dims.assign(desc->sizes.begin(), desc->sizes.end());
  handle.strides = c10::contiguous_strides(handle.dims);
  handle.storage_dims.assign(desc->storage_sizes.begin(), desc->storage_sizes.end());
  handle.data_type = desc->data_type;
  handle.format = desc->storage_format;
  handle.data = buffer->data;
  return opapi::FormattedTensor(handle);
}

// An input that the caller leaves out has no dtype.
Operands OperandsOf(int count, const aclTensorDesc* const descs[],
                    const aclDataBuffer* const buffers[]) {
  Operands operands;
  for (int i = 0; i < count; ++i) {
    if (descs[i] != nullptr && descs[i]->data_type == -1) continue;
    operands.push_back(OperandOf(descs[i], buffers[i]));
  }
  return operands;
}

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
    auto in = OperandsOf(input_count, input_descs, inputs);
    auto out = OperandsOf(output_count, output_descs, outputs);
    Require(in.size() >= op->inputs && out.size() == 1, "expected ", op->inputs,
            " inputs and one output, not ", in.size(), " and ", out.size());
    Touches touches;
    if (TouchesWanted()) {
      for (const auto& tensor : in) opapi::AddTouch(touches, tensor.storage(), false);
      for (const auto& tensor : out) opapi::AddTouch(touches, tensor.storage(), true);
    }
    auto given = attributes == nullptr ? aclopAttr{} : *attributes;
    auto body = [op, in = std::move(in), out = std::move(out), given = std::move(given)] {
      op->body(in, out, given);
    };
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
