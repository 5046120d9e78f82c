// SPDX-License-Identifier: Apache-2.0
#include "touched_memory.h"

#include <c10/core/impl/TorchDispatchModeTLS.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace ascend_ops {

/// What the schema of an operator says, for to copy the schema costs more than to run many an
/// operator; and what was seen of its kernel.
struct Operator {
  std::string name;
  std::string overload;
  std::size_t arguments = 0;
  /// Per argument, whether it is written.
  std::vector<bool> writes{};
  bool of_torch = false;
  /// Whether its kernel calls so many operators that they run cheaper unobserved.
  bool calls_many = false;
};

namespace {

/// To disable the callback and enable it again costs as much as to observe this many operators.
constexpr int64_t kOperatorsPerSwitch = 4;

/// The observer of this thread: callbacks of at::RecordFunction carry no state of their own.
thread_local TouchedMemory* observer = nullptr;

/// Address of the memory under a tensor; null if it has none of its own.
const void* address_of(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage() || tensor.layout() != at::kStrided) return nullptr;
  if (tensor.unsafeGetTensorImpl()->is_wrapped_number())
    return nullptr;  // of Python, like the 2 in x * 2
  // Without checks: those would throw for tensors of a tracer, which have no memory.
  return tensor.storage().unsafeGetStorageImpl()->_mutable_data_ptr_no_checks().get();
}

template <typename Visit>
void for_each_tensor(const c10::IValue& value, const Visit& visit) {
  if (value.isTensor()) {
    visit(value.toTensor());
  } else if (value.isList()) {
    for (const auto& item : value.toListRef()) for_each_tensor(item, visit);
  } else if (value.isTuple()) {
    for (const auto& item : value.toTupleRef().elements()) for_each_tensor(item, visit);
  }
}

bool is_of_torch(std::string_view name) {
  constexpr std::array<std::string_view, 3> libraries{"aten::", "prim::", "npu::"};
  return std::any_of(libraries.begin(), libraries.end(),
                     [&](std::string_view library) { return name.starts_with(library); });
}

Operator& operator_of(const at::RecordFunction& operation) {
  // By the address of the name, which is that of the schema.
  thread_local ska::flat_hash_map<const char*, Operator> operators;
  const char* name = operation.name();
  const char* overload = operation.overload_name();
  const auto arguments = operation.inputs().size();
  const auto found = operators.find(name);
  // Ranges that are no operators have names of their own, at addresses that others may get later.
  if (found != operators.end() && found->second.arguments == arguments &&
      found->second.name == name && found->second.overload == overload) {
    return found->second;
  }
  Operator op{.name = name, .overload = overload, .arguments = arguments};
  if (const auto schema = operation.operator_schema()) {
    for (const auto& argument : schema->arguments()) {
      const auto* alias = argument.alias_info();
      op.writes.push_back(alias != nullptr && alias->isWrite());
    }
    op.of_torch = is_of_torch(op.name);
  }
  return operators[name] = std::move(op);
}

int64_t as_integer(const void* address) { return reinterpret_cast<int64_t>(address); }

const void* as_address(int64_t integer) { return reinterpret_cast<const void*>(integer); }

}  // namespace

std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction& operation) {
  if (observer != nullptr) observer->begin(operation);
  return nullptr;
}

void end_operator(const at::RecordFunction& operation, at::ObserverContext* /*context*/) {
  if (observer != nullptr) observer->end(operation);
}

TouchedMemory::~TouchedMemory() { stop(); }

void TouchedMemory::start() {
  TORCH_CHECK(observer == nullptr, "the operators of this thread are being observed already");
  TORCH_CHECK(at::isRecordFunctionEnabled(),
              "at::RecordFunction is turned off in this thread, so its operators cannot be seen");
  observer = this;
  depth_ = 0;
  kernel_ = nullptr;
  callback_ = at::addThreadLocalCallback(at::RecordFunctionCallback(begin_operator, end_operator)
                                             .needsInputs(true)
                                             .needsOutputs(true)
                                             .scopes({at::RecordScope::FUNCTION}));
}

void TouchedMemory::stop() {
  if (observer != this) return;
  at::removeCallback(callback_);
  observer = nullptr;
  // What operators reached for by themselves and is still there now belongs to somebody.
  for (auto& [address, weak] : seen_inside_) {
    auto storage = weak.lock();
    if (storage && made_.count(address) == 0) kept_.emplace(address, std::move(storage));
  }
  seen_inside_.clear();
}

std::vector<int64_t> TouchedMemory::take_made() { return std::exchange(made_on_device_, {}); }

std::vector<int64_t> TouchedMemory::kept() const {
  std::vector<int64_t> addresses;
  addresses.reserve(kept_.size());
  for (const auto& [address, storage] : kept_) addresses.push_back(as_integer(address));
  return addresses;
}

void TouchedMemory::drop(const std::vector<int64_t>& addresses) {
  for (const auto address : addresses) kept_.erase(as_address(address));
}

bool TouchedMemory::wrote(const at::Tensor& tensor) const {
  return written_.count(address_of(tensor)) != 0;
}

void TouchedMemory::begin(const at::RecordFunction& operation) {
  if (kernel_ == nullptr) note_operator(operation);
  ++depth_;
}

void TouchedMemory::end(const at::RecordFunction& operation) {
  if (depth_ > 0) --depth_;
  if (kernel_ != nullptr) {
    if (depth_ > depth_of_kernel_) {
      ++operators_in_kernel_;
      return;
    }
    if (kernel_->calls_many) at::reenableCallback(callback_);
    kernel_->calls_many = kernel_->calls_many || operators_in_kernel_ > kOperatorsPerSwitch;
    kernel_ = nullptr;
  }
  for (const auto& output : operation.outputs()) {
    for_each_tensor(output, [&](const at::Tensor& tensor) { note_output(tensor); });
  }
}

void TouchedMemory::note_operator(const at::RecordFunction& operation) {
  auto& op = operator_of(operation);
  bool in_python = kernels_in_python_ || c10::impl::TorchDispatchModeTLS::any_modes_set();
  std::size_t position = 0;
  for (const auto& input : operation.inputs()) {
    const bool written = position < op.writes.size() && op.writes[position];
    ++position;
    for_each_tensor(input, [&](const at::Tensor& tensor) {
      in_python = in_python || tensor.key_set().has(c10::DispatchKey::Python);
      note_input(tensor, written);
    });
  }
  // Kernels of torch touch nothing but their arguments and memory of their own.
  if (!op.of_torch || in_python) return;
  kernel_ = &op;
  depth_of_kernel_ = depth_;
  operators_in_kernel_ = 0;
  if (op.calls_many) at::disableCallback(callback_);
}

void TouchedMemory::note_input(const at::Tensor& tensor, bool written) {
  const auto* address = address_of(tensor);
  if (address == nullptr) return;
  if (written) written_.insert(address);
  if (made_.count(address) != 0) return;
  if (depth_ == 0) {
    if (kept_.count(address) == 0) kept_.emplace(address, tensor.storage());
  } else if (kept_.count(address) == 0 && seen_inside_.count(address) == 0) {
    // It may be scratch memory of the operator: holding it would keep others from using it again.
    seen_inside_.emplace(address, tensor.storage().getWeakStorageImpl());
  }
}

void TouchedMemory::note_output(const at::Tensor& tensor) {
  const auto* address = address_of(tensor);
  if (address == nullptr || kept_.count(address) != 0) return;
  // Inside an operator, this may be a view of what the operator reached for.
  if (depth_ > 0 && seen_inside_.count(address) != 0) return;
  if (made_.insert(address).second && tensor.is_privateuseone()) {
    made_on_device_.push_back(as_integer(address));
  }
}

}  // namespace ascend_ops
