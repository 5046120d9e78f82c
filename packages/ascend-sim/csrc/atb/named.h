// SPDX-License-Identifier: Apache-2.0
//
// libatb's functions with the two phases of aclnn: the first makes an operation (or takes the one
// that the caller kept), the second executes it.
//
//   ATB_FUNCTION(AtbRingMLA, (const Tensor& q, float scale, Tensor& out)) { ...; return work; }
//
// exports AtbRingMLAGetWorkspaceSize(q, scale, out, workspace size, operation, context) and
// AtbRingMLA(workspace, size, operation, context). Parameters cross as in aclnn (opapi/abi/op.h),
// and
//
//   const HostTensor&, const OptHostTensor&    const aclTensor*    numbers in host memory
//
// which may be read in the body, the plan, and nowhere else.
#pragma once

#include <memory>
#include <utility>

#include "atb/operation.h"

namespace ascend_sim::atb {

struct HostTensor {
  at::Tensor values;
};
using OptHostTensor = std::optional<HostTensor>;

struct ToHostTensor {
  HostTensor operator()(const aclTensor& handle) const { return {opapi::HostViewOf(handle)}; }
};

}  // namespace ascend_sim::atb

template <>
struct ascend_sim::opapi::Crossing<ascend_sim::atb::HostTensor>
    : RequiredHandle<aclTensor, ascend_sim::atb::HostTensor, ascend_sim::atb::ToHostTensor> {};
template <>
struct ascend_sim::opapi::Crossing<ascend_sim::atb::OptHostTensor>
    : OptionalHandle<aclTensor, ascend_sim::atb::HostTensor, ascend_sim::atb::ToHostTensor> {};

namespace ascend_sim::atb {

// The operation in `*operation`, new when there is none, with what it is to run next.
void Keep(const char* name, Work work, ::atb::Operation** operation);
::atb::Status Run(const char* name, ::atb::Operation* operation, ::atb::Context* context) noexcept;

template <auto kBody, opapi::Name kName>
struct Function;

template <class... Params, Work (*kBody)(Params...), opapi::Name kName>
struct Function<kBody, kName> {
  static int Prepare(typename opapi::Crossing<std::decay_t<Params>>::C... handles,
                     uint64_t* workspace_size, ::atb::Operation** operation,
                     ::atb::Context*) noexcept {
    try {
      opapi::Require(workspace_size != nullptr && operation != nullptr, "an output is null");
      c10::InferenceMode guard;
      size_t index = 0;
      opapi::Arguments<std::decay_t<Params>...> arguments{
          {opapi::Crossing<std::decay_t<Params>>::Take(handles, index++)}...};
      Keep(kName.text, arguments.Apply(kBody), operation);
      *workspace_size = 0;
      return ::atb::kNoError;
    } catch (...) {
      return Report(kName.text);
    }
  }
};

}  // namespace ascend_sim::atb

#define ATB_FUNCTION(name, params)                                                                 \
  static ::ascend_sim::atb::Work name##_body params;                                               \
  using name##_function = ::ascend_sim::atb::Function<name##_body, #name>;                         \
  ACLNN_BIND_PREPARE(name##GetWorkspaceSize, name##_function)                                      \
  extern "C" [[gnu::visibility("default")]] int name(void*, uint64_t, ::atb::Operation* operation, \
                                                     ::atb::Context* context) {                    \
    return ::ascend_sim::atb::Run(#name, operation, context);                                      \
  }                                                                                                \
  static ::ascend_sim::atb::Work name##_body params
