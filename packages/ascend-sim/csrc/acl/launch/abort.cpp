// SPDX-License-Identifier: Apache-2.0
//
// Aborting work: of one stream, or of a whole device. What runs and can be interrupted (waits)
// ends, what has not begun is dropped, and those who wait get an error.
#include "acl/base/error.h"
#include "acl/runtime/stream.h"

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtStreamAbort(aclrtStream handle) {
  return Abi("aclrtStreamAbort", [&] {
    const auto stream = Streams().Get(handle);  // null does not mean the default stream here
    Require(!stream->IsBound(), kNotSupported, "the stream is bound to a model");
    stream->RequireNotCapturing();
    stream->Queue().Abort(kStreamAbort);
  });
}

// `timeout` in milliseconds; 0 is for ever.
ASCEND_SIM_ABI aclError aclrtDeviceTaskAbort(int32_t id, uint32_t timeout) {
  return Abi("aclrtDeviceTaskAbort", [&] {
    Device& device = DeviceAt(id);
    const Deadline deadline =
        timeout == 0 ? Deadline() : Clock::now() + std::chrono::milliseconds(timeout);
    struct Aborting {
      explicit Aborting(std::atomic<int>& of) : count(of) { count.fetch_add(1); }
      ~Aborting() { count.fetch_sub(1); }
      std::atomic<int>& count;
    } const aborting(device.aborting);
    for (const auto& stream : Streams().All()) {
      if (&stream->OnDevice() != &device) continue;
      Require(stream->Queue().Abort(kDeviceTaskAbort, deadline), kWaitTimeout,
              "a running task did not end in time");
    }
  });
}
