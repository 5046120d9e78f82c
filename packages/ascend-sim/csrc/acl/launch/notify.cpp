// SPDX-License-Identifier: Apache-2.0
//
// Notifies: flags of a device that one stream sets and another awaits and clears. Unlike an event a
// notify has no versions: a wait goes on with whichever record comes first, and a record that finds
// the flag set changes nothing.
#include <cstdint>
#include <memory>
#include <string>

#include "abi/kernel.h"
#include "acl/base/error.h"
#include "acl/base/handle.h"
#include "acl/machine/quota.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"
#include "acl/runtime/event.h"
#include "acl/runtime/stream.h"
#include "acl/task/wait.h"

namespace ascend_sim {
namespace {

// Owned by the handle table; tasks own the flag, so destroying a notify that work still refers to
// is safe.
class Notify {
 public:
  explicit Notify(std::shared_ptr<Context> context)
      : context_(std::move(context)), claim_(context_->OnDevice().Resources().notifies) {}

  const std::shared_ptr<EventFlag>& Flag() const { return flag_; }

 private:
  const std::shared_ptr<Context> context_;
  const Claim claim_;
  const std::shared_ptr<EventFlag> flag_ = std::make_shared<EventFlag>();
};

Handles<Notify>& Notifies() {
  static auto* const notifies = new Handles<Notify>("notify", 13);
  return *notifies;
}

// `timeout` in milliseconds from the moment at which the stream comes to the wait; 0 is for ever.
void Wait(EventFlag& flag, uint32_t timeout) {
  const auto deadline =
      timeout == 0 ? Deadline() : Clock::now() + std::chrono::milliseconds(timeout);
  if (flag.AwaitAndClear(deadline)) return;
  Raise(kTaskTimeout, "the notify was not recorded within " + std::to_string(timeout) + " ms");
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtCreateNotify(aclrtNotify* notify, uint64_t flag) {
  return Abi("aclrtCreateNotify", [&] {
    RequirePtr(notify, "notify");
    Require(flag <= abi::kNotifyDeviceUseOnly, kRtParamInvalid,
            "the flag must be 0 (default) or 1 (device use only)");
    auto made = std::make_shared<Notify>(CurrentContext());
    *notify = Notifies().Reserve();
    Notifies().Add(*notify, std::move(made));
  });
}

ASCEND_SIM_ABI aclError aclrtDestroyNotify(aclrtNotify notify) {
  return Abi("aclrtDestroyNotify", [&] {
    Notifies().Get(notify);
    Notifies().Remove(notify);
  });
}

ASCEND_SIM_ABI aclError aclrtRecordNotify(aclrtNotify notify, aclrtStream stream) {
  return Abi("aclrtRecordNotify", [&] {
    StreamArg(stream)->Launch({"aclrtRecordNotify", TaskKind::kEventRecord,
                               [flag = Notifies().Get(notify)->Flag()] { flag->Set(true); }});
  });
}

ASCEND_SIM_ABI aclError aclrtWaitAndResetNotify(aclrtNotify notify, aclrtStream stream,
                                                uint32_t timeout) {
  return Abi("aclrtWaitAndResetNotify", [&] {
    StreamArg(stream)->Launch(
        {"aclrtWaitAndResetNotify", TaskKind::kEventWait,
         [flag = Notifies().Get(notify)->Flag(), timeout] { Wait(*flag, timeout); }},
        /*may_block=*/true);
  });
}
