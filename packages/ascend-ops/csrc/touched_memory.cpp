// SPDX-License-Identifier: Apache-2.0
#include "touched_memory.h"

#include <utility>

namespace ascend_ops {
namespace {

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
    if (storage && made_.count(address) == 0) kept_.try_emplace(address, std::move(storage));
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
  const auto& writes = writes_of(operation);
  std::size_t position = 0;
  for (const auto& input : operation.inputs()) {
    const bool written = position < writes.size() && writes[position];
    ++position;
    for_each_tensor(input, [&](const at::Tensor& tensor) { note_input(tensor, written); });
  }
  ++depth_;
}

void TouchedMemory::end(const at::RecordFunction& operation) {
  if (depth_ > 0) --depth_;
  for (const auto& output : operation.outputs()) {
    for_each_tensor(output, [&](const at::Tensor& tensor) { note_output(tensor); });
  }
}

const std::vector<bool>& TouchedMemory::writes_of(const at::RecordFunction& operation) {
  std::string key = operation.name();
  key.append(1, '.').append(operation.overload_name());
  const auto known = writes_by_operator_.find(key);
  if (known != writes_by_operator_.end()) return known->second;
  std::vector<bool> writes;
  if (const auto schema = operation.operator_schema()) {
    for (const auto& argument : schema->arguments()) {
      const auto* alias = argument.alias_info();
      writes.push_back(alias != nullptr && alias->isWrite());
    }
  }
  return writes_by_operator_.emplace(std::move(key), std::move(writes)).first->second;
}

void TouchedMemory::note_input(const at::Tensor& tensor, bool written) {
  const auto* address = address_of(tensor);
  if (address == nullptr) return;
  if (written) written_.insert(address);
  if (made_.count(address) != 0) return;
  if (depth_ == 0) {
    kept_.try_emplace(address, tensor.storage());
  } else if (kept_.count(address) == 0) {
    // It may be scratch memory of the operator: holding it would keep others from using it again.
    seen_inside_.try_emplace(address, tensor.storage().getWeakStorageImpl());
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
