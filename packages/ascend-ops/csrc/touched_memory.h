// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>
#include <c10/core/Storage.h>
#include <c10/util/flat_hash_map.h>
#include <torch/custom_class.h>

#include <cstdint>
#include <vector>

namespace ascend_ops {

struct Operator;

/// The memory that the operators of one thread touch between start() and stop().
///
/// It looks on (at::RecordFunction) and takes no part in the dispatch of any operator. It owns what
/// it keeps: the storages that existed before start(). Used by the thread that called start().
class TouchedMemory final : public torch::CustomClassHolder {
 public:
  /// `kernels_in_python`: whether operators of torch's own libraries have kernels in Python, which
  /// may touch anything. If not, nothing inside of such operators is noted.
  explicit TouchedMemory(bool kernels_in_python) : kernels_in_python_(kernels_in_python) {}
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

  void begin(const at::RecordFunction& operation);
  void end(const at::RecordFunction& operation);
  void note_operator(const at::RecordFunction& operation);
  void note_input(const at::Tensor& tensor, bool written);
  void note_output(const at::Tensor& tensor);

  at::CallbackHandle callback_ = at::INVALID_CALLBACK_HANDLE;
  /// Operators under way: those that operators call are deeper.
  int64_t depth_ = 0;
  /// The kernel of torch that is running, within which nothing is noted; null if there is none.
  /// Points into a table of operators that does not grow meanwhile.
  Operator* kernel_ = nullptr;
  int64_t depth_of_kernel_ = 0;
  int64_t operators_in_kernel_ = 0;
  bool kernels_in_python_;
  ska::flat_hash_map<const void*, c10::Storage> kept_;
  ska::flat_hash_map<const void*, c10::weak_intrusive_ptr<c10::StorageImpl>> seen_inside_;
  ska::flat_hash_set<const void*> made_;
  ska::flat_hash_set<const void*> written_;
  std::vector<int64_t> made_on_device_;
};

}  // namespace ascend_ops
