// SPDX-License-Identifier: Apache-2.0
#include "atb/operation.h"

#include <cstdio>
#include <utility>

namespace ascend_sim::atb {
namespace {

class PlannedOperation final : public ::atb::Operation {
 public:
  PlannedOperation(const char* name, uint32_t inputs, uint32_t outputs, Plan plan)
      : name_(name), inputs_(inputs), outputs_(outputs), plan_(std::move(plan)) {}

  std::string GetName() const override { return name_; }
  uint32_t GetInputNum() const override { return inputs_; }
  uint32_t GetOutputNum() const override { return outputs_; }

  ::atb::Status InferShape(const ::atb::SVector<::atb::TensorDesc>&,
                           ::atb::SVector<::atb::TensorDesc>&) const override {
    Fail(::atb::kInvalidParam, name_, "InferShape is not implemented by ascend-sim");
    return ::atb::kInvalidParam;
  }

  // Finds errors before the launch: torch_npu looks at no other result.
  ::atb::Status Setup(const ::atb::VariantPack& pack, uint64_t& workspace_size,
                      ::atb::Context*) override {
    workspace_size = 0;
    try {
      plan_(Arguments(pack));
      return ::atb::kNoError;
    } catch (...) {
      return Report(name_);
    }
  }

  ::atb::Status Execute(const ::atb::VariantPack& pack, uint8_t*, uint64_t,
                        ::atb::Context* context) override {
    if (context == nullptr) return Fail(::atb::kInvalidParam, name_, "context is null");
    try {
      const Arguments arguments(pack);
      return opapi::LaunchKernel(name_, plan_(arguments),
                                 TouchesWanted() ? arguments.TouchesOf() : Touches{},
                                 context->GetExecuteStream());
    } catch (...) {
      return Report(name_);
    }
  }

 private:
  const char* name_;
  uint32_t inputs_, outputs_;
  Plan plan_;
};

}  // namespace

::atb::Operation* MakeOperation(const char* name, uint32_t inputs, uint32_t outputs, Plan plan) {
  return new PlannedOperation(name, inputs, outputs, std::move(plan));
}

::atb::Status Report(const char* name) noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "[ascend-sim] %s: %s\n", name, error.what());
  } catch (...) {
  }
  opapi::FailPrepare(name);
  return ::atb::kInvalidParam;
}

}  // namespace ascend_sim::atb

atb::Status atb::DestroyOperation(atb::Operation* operation) {
  delete operation;
  return atb::kNoError;
}
