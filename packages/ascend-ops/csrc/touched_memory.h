// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <c10/core/Storage.h>
#include <c10/util/flat_hash_map.h>
#include <torch/custom_class.h>

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

namespace ascend_ops {

/// The memory that the operators of one thread touch between start() and stop().
///
/// It looks on (at::RecordFunction) and takes no part in the dispatch of any operator. It owns what
/// it keeps: the storages that existed before start(). Used by the thread that called start().
class TouchedMemory final : public torch::CustomClassHolder {
 public:
  /// `in_python`: operators of torch's own libraries whose kernels are Python all the same, as
  /// "aten::add". All others of these run unobserved inside: their kernels touch their arguments.
  explicit TouchedMemory(const std::vector<std::string>& in_python)
      : in_python_(in_python.begin(), in_python.end()) {}
  ~TouchedMemory() override;

  /// Throws if the thread is being observed already, or has observers turned off.
  void start();

  /// Ends the observation; nothing to do if there is none.
  void stop();

  /// Addresses of the device memory that operators allocated since the last call.
  std::vector<int64_t> take_made();

  /// Addresses of what is kept.
  std::vector<int64_t> kept() const;

  /// Keeps these addresses no more.
  void drop(const std::vector<int64_t>& addresses);

  /// Whether an operator wrote into the memory under a tensor, as its schema says.
  bool wrote(const at::Tensor& tensor) const;

 private:
  friend std::unique_ptr<at::ObserverContext> begin_operator(const at::RecordFunction& operation);
  friend void end_operator(const at::RecordFunction& operation, at::ObserverContext* context);

  struct Operator {
    std::string name;
    std::string overload;
    /// Per argument, whether the schema says that it is written.
    std::vector<bool> writes;
    /// Whether the kernel touches nothing but its arguments and memory of its own.
    bool closed;
  };

  const Operator& operator_of(const at::RecordFunction& operation);
  void begin(const at::RecordFunction& operation);
  void end(const at::RecordFunction& operation);
  void note_input(const at::Tensor& tensor, bool written);
  void note_output(const at::Tensor& tensor);

  at::CallbackHandle callback_ = at::INVALID_CALLBACK_HANDLE;
  /// Operators under way: those that operators call are deeper.
  int64_t depth_ = 0;
  std::unordered_set<std::string> in_python_;
  /// By the address of the name, which is that of the schema.
  ska::flat_hash_map<const char*, Operator> operators_;
  ska::flat_hash_map<const void*, c10::Storage> kept_;
  ska::flat_hash_map<const void*, c10::weak_intrusive_ptr<c10::StorageImpl>> seen_inside_;
  ska::flat_hash_set<const void*> made_;
  ska::flat_hash_set<const void*> written_;
  std::vector<int64_t> made_on_device_;
};

}  // namespace ascend_ops
