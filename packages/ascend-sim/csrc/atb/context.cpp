// SPDX-License-Identifier: Apache-2.0
//
// Contexts: the stream that operations go to.
#include <c10/core/ScalarType.h>

#include "abi/atb.h"
#include "ascend_sim/launch.h"
#include "opapi/abi/tensor.h"

namespace atb {
namespace {

class StreamContext final : public Context {
 public:
  Status SetExecuteStream(void* stream) override {
    stream_ = stream;
    return kNoError;
  }
  void* GetExecuteStream() const override { return stream_; }
  // Whether parameters are copied to the device asynchronously: there are none to copy.
  Status SetAsyncTilingCopyStatus(bool enable) override {
    async_tiling_copy_ = enable;
    return kNoError;
  }
  bool GetAsyncTilingCopyStatus() const override { return async_tiling_copy_; }

 private:
  void* stream_ = nullptr;
  bool async_tiling_copy_ = false;
};

}  // namespace

Status CreateContext(Context** context) {
  if (context == nullptr) {
    return ascend_sim::Fail(kInvalidParam, "atb::CreateContext", "context is null");
  }
  *context = new StreamContext;
  return kNoError;
}

Status DestroyContext(Context* context) {
  delete context;
  return kNoError;
}

// Bytes of the elements. Not thrown: the caller is in the middle of its own C++.
uint64_t Utils::GetTensorSize(const Tensor& tensor) {
  uint64_t bytes = 0;
  try {
    bytes = c10::elementSize(ascend_sim::opapi::ScalarTypeOf(tensor.desc.dtype));
  } catch (const std::exception& error) {
    ascend_sim::Fail(kInvalidParam, "atb::Utils::GetTensorSize", error.what());
  }
  for (uint64_t i = 0; i < tensor.desc.shape.dimNum; ++i) bytes *= tensor.desc.shape.dims[i];
  return bytes;
}

}  // namespace atb
