// SPDX-License-Identifier: Apache-2.0
#include "opapi/abi/op.h"

#include <ATen/Parallel.h>

#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "ascend_sim/launch.h"

namespace ascend_sim::opapi {
namespace {

// The text of an error without the C++ stack that c10 appends.
std::string Reason(const std::exception& error) {
  const auto* c10_error = dynamic_cast<const c10::Error*>(&error);
  std::string why = c10_error != nullptr ? c10_error->what_without_backtrace() : error.what();
  // ATen would resize an output that does not fit; outputs of operators prevent it (ViewOf).
  const bool resizes = why.find("not allowed on a Tensor created from .data") != why.npos;
  return resizes ? "the shape of an output differs from that of the result" : why;
}

// Stream workers are threads that ATen has not seen: they get the process's number of intra-op
// threads (torch.set_num_threads, OMP_NUM_THREADS) as torch's own threads do, once each.
void AdoptThreadCount() {
  static thread_local const bool done = [] {
    at::init_num_threads();
    return true;
  }();
  (void)done;
}

void RunBody(const Work& body) {
  AdoptThreadCount();
  c10::InferenceMode guard;  // no autograd bookkeeping: the tensors are views of device memory
  try {
    body();
  } catch (const c10::Error& error) {
    throw std::runtime_error(Reason(error));
  }
}

int LaunchBody(const char* name, Work body, std::shared_ptr<const Touches> touches, void* stream,
               bool waits = false) {
  return Launch(stream, {name, TaskKind::kKernel, [body = std::move(body)] { RunBody(body); },
                         std::move(touches), waits});
}

// One line per operator: its name, then the kinds of its arguments. Built while the library loads.
std::string& Descriptions() {
  static std::string lines;
  return lines;
}

}  // namespace

FormattedTensor Blank(const FormattedTensor& value) {
  return value.WithStorage(Blank(value.storage()));
}

Touches Inspect(const Rules& rules, std::span<const PassedArgument> arguments) {
  if (rules.apply()) {
    std::vector<LimitedArgument> limited;
    limited.reserve(arguments.size());
    for (const auto& [parameter, value] : arguments) limited.push_back(parameter->limited(value));
    rules.Check(limited);
  }
  Touches touches;
  if (TouchesWanted()) {
    for (const auto& [parameter, value] : arguments) parameter->touch(touches, value);
  }
  return touches;
}

namespace {

void Run(BoundBody& body) {
  std::string why;
  try {
    return body.Run();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    why = Reason(error);
  }
  try {
    body.Rehearse();
  } catch (const std::bad_alloc&) {  // it tells nothing
  } catch (const std::exception&) {
    throw Refusal(why);
  }
  throw std::runtime_error(why);
}

}  // namespace

Work RunOrRefuse(std::unique_ptr<BoundBody> body) {
  return [body = std::shared_ptr<BoundBody>(std::move(body))] { Run(*body); };
}

bool RegisterOperator(const char* name, std::initializer_list<const char*> kinds) {
  auto& lines = Descriptions();
  lines += name;
  for (const char* kind : kinds) lines.append(" ").append(kind);
  lines += '\n';
  return true;
}

void ShapedTensor::Store(const Tensor& value) {
  TORCH_CHECK(value.numel() <= capacity.numel(), "the output holds ", capacity.numel(),
              " elements, the result has ", value.numel());
  // The caller reshapes the output to the new sizes, densely from its first element.
  auto head = capacity.as_strided(
      value.sizes(), value.is_contiguous() ? value.strides() : value.contiguous().strides());
  head.copy_(value);
  if (handle_ != nullptr) handle_->dims.assign(value.sizes().begin(), value.sizes().end());
}

Scalars ToScalars::operator()(const aclScalarList& handle) const {
  Scalars scalars;
  scalars.reserve(handle.items.size());
  for (const auto* item : handle.items) scalars.push_back(Alive(item, "a scalar of a list").value);
  return scalars;
}

Tensors ToTensors::operator()(const aclTensorList& handle) const {
  Tensors tensors;
  tensors.reserve(handle.items.size());
  for (const auto* item : handle.items) {
    tensors.push_back(item == nullptr ? Tensor() : ViewOf(Alive(item, "a tensor of a list")));
  }
  return tensors;
}

FormattedTensors ToFormattedTensors::operator()(const aclTensorList& handle) const {
  FormattedTensors tensors;
  tensors.reserve(handle.items.size());
  for (const auto* item : handle.items) tensors.emplace_back(Alive(item, "a tensor of a list"));
  return tensors;
}

void AddTouch(Touches& touches, const Tensor& tensor, bool write) {
  if (!tensor.defined() || tensor.storage().nbytes() == 0) return;
  touches.push_back({tensor.storage().data(), tensor.storage().nbytes(), write});
}

int FinishPrepare(const char* name, Work run, bool waits, Touches touches, uint64_t* workspace_size,
                  aclOpExecutor** executor) noexcept {
  if (workspace_size == nullptr || executor == nullptr) {
    return Fail(kParamNull, name, "workspaceSize or executor is null");
  }
  *workspace_size = 0;
  *executor = new aclOpExecutor;
  (*executor)->name = name;
  (*executor)->run = std::move(run);
  (*executor)->waits = waits;
  if (!touches.empty()) {
    (*executor)->touches = std::make_shared<const Touches>(std::move(touches));
  }
  return kSuccess;
}

int FailPrepare(const char* name) noexcept {
  try {
    throw;
  } catch (const LimitError& error) {
    if (Recording()) RecordLimit(name, error.what());
    return Fail(error.code, name, error.what());
  } catch (const ParamError& error) {
    return Fail(error.code, name, error.what());
  } catch (const std::exception& error) {
    return Fail(kInnerError, name, Reason(error));
  } catch (...) {
    return Fail(kInnerError, name, "unknown error");
  }
}

int LaunchExecutor(const char* name, aclOpExecutor* executor, void* stream) noexcept {
  if (executor == nullptr) return Fail(kParamNull, name, "executor is null");
  if (!aclOpExecutor::IsAlive(executor)) {
    return Fail(kParamInvalid, name, "not a live executor: each runs once, unless repeatable");
  }
  if (executor->name != name && std::string_view(executor->name) != name) {
    return Fail(kParamInvalid, name, std::string("the executor was prepared by ") + executor->name);
  }
  try {
    const bool waits = executor->waits;
    auto touches = executor->touches;
    std::unique_ptr<aclOpExecutor> owner(executor->repeatable ? nullptr : executor);
    Work body = owner ? std::move(executor->run) : executor->run;
    return LaunchBody(name, std::move(body), std::move(touches), stream, waits);
  } catch (const std::exception& error) {
    return Fail(kInnerError, name, Reason(error));
  }
}

int LaunchKernel(const char* name, Work body, Touches touches, void* stream) noexcept {
  return LaunchBody(name, std::move(body),
                    touches.empty() ? nullptr : std::make_shared<const Touches>(std::move(touches)),
                    stream);
}

}  // namespace ascend_sim::opapi

extern "C" [[gnu::visibility("default")]] int aclDestroyAclOpExecutor(aclOpExecutor* executor) {
  if (executor != nullptr && !aclOpExecutor::IsAlive(executor)) {
    return ascend_sim::Fail(ascend_sim::opapi::kParamInvalid, __func__, "not a live executor");
  }
  delete executor;
  return ascend_sim::opapi::kSuccess;
}

extern "C" [[gnu::visibility("default")]] int aclSetAclOpExecutorRepeatable(
    aclOpExecutor* executor) {
  if (executor == nullptr) {
    return ascend_sim::Fail(ascend_sim::opapi::kParamNull, __func__, "executor is null");
  }
  if (!aclOpExecutor::IsAlive(executor)) {
    return ascend_sim::Fail(ascend_sim::opapi::kParamInvalid, __func__, "not a live executor");
  }
  executor->repeatable = true;
  return ascend_sim::opapi::kSuccess;
}

// For tests and for `ascend-sim coverage`: the operators and the kinds of their arguments, one per
// line.
extern "C" [[gnu::visibility("default")]] const char* ascendSimDescribeOperators() {
  return ascend_sim::opapi::Descriptions().c_str();
}
