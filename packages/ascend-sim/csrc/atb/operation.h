// SPDX-License-Identifier: Apache-2.0
//
// Operations: C++ objects made from parameters, then set up and executed with tensors.
#pragma once

#include <functional>

#include "abi/atb.h"
#include "atb/arguments.h"
#include "opapi/abi/op.h"

namespace ascend_sim::atb {

using opapi::Work;

// Checks the arguments of one call and returns what the stream is to run.
using Plan = std::function<Work(const Arguments&)>;

// `name` has static storage.
::atb::Operation* MakeOperation(const char* name, uint32_t inputs, uint32_t outputs, Plan plan);

// Inside a catch block: tells of the current exception, on stderr too, because torch_npu reports
// only that the operation failed. Returns ATB's code.
::atb::Status Report(const char* name) noexcept;

}  // namespace ascend_sim::atb

// Defines atb::CreateOperation for atb::infer::Param. What follows is the body of
//   Work plan(const atb::infer::Param& param, const Arguments& arguments)
#define ASCEND_SIM_ATB_OPERATION(Param, name, inputs, outputs)                                \
  namespace ascend_sim::atb {                                                                 \
  static Work Plan##Param(const ::atb::infer::Param& param, const Arguments& arguments);      \
  }                                                                                           \
  template <>                                                                                 \
  ASCEND_SIM_ATB_ABI atb::Status atb::CreateOperation(const atb::infer::Param& param,         \
                                                      atb::Operation** operation) {           \
    if (operation == nullptr) return atb::kInvalidParam;                                      \
    *operation = ascend_sim::atb::MakeOperation(                                              \
        name, inputs, outputs, [param](const ascend_sim::atb::Arguments& arguments) {         \
          return ascend_sim::atb::Plan##Param(param, arguments);                              \
        });                                                                                   \
    return atb::kNoError;                                                                     \
  }                                                                                           \
  static ascend_sim::atb::Work ascend_sim::atb::Plan##Param(const ::atb::infer::Param& param, \
                                                            const Arguments& arguments)
