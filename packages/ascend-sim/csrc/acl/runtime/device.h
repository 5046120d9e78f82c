// SPDX-License-Identifier: Apache-2.0
//
// A simulated device: its quotas, its primary context and its error state.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "acl/machine/quota.h"
#include "ascend_sim/launch.h"

namespace ascend_sim {

class Context;

// One per configured device, made with the first use of the library and never destroyed: worker
// threads and handles may refer to it at any time.
class Device {
 public:
  // `id` is its number in this process, `machine_id` that among all devices of the machine, which
  // ASCEND_RT_VISIBLE_DEVICES makes another one.
  Device(int id, int machine_id);

  int Id() const { return id_; }
  int MachineId() const { return machine_id_; }
  DeviceQuotas& Resources() { return quotas_; }

  // aclrtSetDevice: one more user; the first one makes the primary context.
  std::shared_ptr<Context> Open();
  // aclrtResetDevice: one user less; the last one releases everything. `force` makes this one the
  // last.
  void Close(bool force);
  // Null when nobody uses the device.
  std::shared_ptr<Context> Primary() const;

  // The first failure of a task on this device; later ones are its consequences. It stays until the
  // last Close().
  void RecordFailure(int code, std::string why);
  // What a task refused, which does not stay.
  void RecordRefusal(std::string why);
  bool Failed() const { return failed_.load(std::memory_order_acquire); }
  // Throws the recorded failure, if any.
  void ThrowFailure() const;

  // For synchronizations: throws the failure, or else what was refused since the last one.
  void ThrowReport();
  // The last refusal that was thrown.
  std::string ReportedRefusal() const;

  // Runs the body of `task`, unless it is a kernel and compute is off; a failure goes to
  // RecordFailure, a Refusal to the next ThrowReport. `stream` is the id of the one that it is on.
  void Execute(const Task& task, int32_t stream);

  // aclrtDeviceTaskAbort calls that have not returned: copies of the host are refused meanwhile.
  std::atomic<int> aborting{0};

  // Core limits for op tiling, by ResLimit; 0 is the hardware's number.
  std::atomic<uint32_t> core_limits[2] = {0, 0};

 private:
  const int id_;
  const int machine_id_;
  DeviceQuotas quotas_;
  mutable std::mutex mutex_;
  int users_ = 0;
  std::shared_ptr<Context> primary_;
  std::atomic<bool> failed_{false};
  int failure_code_ = 0;
  std::string failure_why_;
  std::atomic<bool> refused_{false};  // since the last report
  std::string refusal_why_;
};

// All devices of this process.
const std::vector<std::unique_ptr<Device>>& Devices();

// Fails with 107001 for an id that does not exist.
Device& DeviceAt(int64_t id);

// The device that another process means by its number on the machine; the current one when this
// process does not see it.
Device& DeviceOnMachine(int machine_id);

}  // namespace ascend_sim
