// SPDX-License-Identifier: Apache-2.0
#include "atb/named.h"

namespace ascend_sim::atb {
namespace {

// Kept by the caller between the phases, and from call to call.
class NamedOperation final : public ::atb::Operation {
 public:
  explicit NamedOperation(const char* name) : name_(name) {}

  std::string GetName() const override { return name_; }
  uint32_t GetInputNum() const override { return 0; }  // they are not passed in a pack
  uint32_t GetOutputNum() const override { return 0; }
  ::atb::Status InferShape(const ::atb::SVector<::atb::TensorDesc>&,
                           ::atb::SVector<::atb::TensorDesc>&) const override {
    return Refuse();
  }
  ::atb::Status Setup(const ::atb::VariantPack&, uint64_t&, ::atb::Context*) override {
    return Refuse();
  }
  ::atb::Status Execute(const ::atb::VariantPack&, uint8_t*, uint64_t, ::atb::Context*) override {
    return Refuse();
  }

  Work work;

 private:
  ::atb::Status Refuse() const {
    return Fail(::atb::kInvalidParam, name_, "the operation is run by the function of its name");
  }

  const char* name_;
};

}  // namespace

void Keep(const char* name, Work work, ::atb::Operation** operation) {
  auto* kept = dynamic_cast<NamedOperation*>(*operation);
  opapi::Require(*operation == nullptr || kept != nullptr,
                 "the operation belongs to another function");
  if (kept == nullptr) *operation = kept = new NamedOperation(name);
  kept->work = std::move(work);
}

::atb::Status Run(const char* name, ::atb::Operation* operation, ::atb::Context* context) noexcept {
  auto* const kept = dynamic_cast<NamedOperation*>(operation);
  if (kept == nullptr || context == nullptr || !kept->work) {
    return Fail(::atb::kInvalidParam, name, "the operation was not prepared, or context is null");
  }
  return opapi::LaunchKernel(name, kept->work, {}, context->GetExecuteStream());
}

}  // namespace ascend_sim::atb
