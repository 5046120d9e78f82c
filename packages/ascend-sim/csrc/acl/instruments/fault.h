// SPDX-License-Identifier: Apache-2.0
//
// Faults: failures that a test injects. A fault is a line of text:
//
//   ACTION:TARGET[,KEY=VALUE]...
//
//   fail:aclrtMalloc,nth=3        the third call returns 207001 and does nothing
//   fail:malloc,bytes=1073741824  the first allocation of at least 1 GiB fails
//   fail:capture,code=207005      no resources for the first capture call
//   break:aclnnAdd,nth=2          the second execution of the kernel fails: 507015 at the next
//                                 synchronization
//   hang:aclnnMatmul              the stream stops there, until it is called off or the fault goes
//   die:execute,device=1,nth=20   the process kills itself (SIGKILL) when device 1 replays the 20th
//                                 time
//   lose:sync,nth=4               from then on every call gives 507010 (lost heartbeat)
//
// TARGET is the name of an ABI function or one of the kinds in fault.cpp. Without nth, every or
// from, a fault strikes the first time.
#pragma once

#include <cstdint>
#include <string>

namespace ascend_sim {

// Adds a fault and returns its id, or throws Failure(kInvalidParam) with the valid choices. Safe
// from any thread, as are all functions below.
uint64_t AddFault(const std::string& text);
// Removes a fault, wakes the tasks that hang in it, and returns how often it struck.
uint64_t RemoveFault(uint64_t id);
uint64_t FaultHits(uint64_t id);
bool FaultsInstalled();

// Throws if a fault strikes the call. Call it only while `interposed` is set. acl/observe/faults.h
// has tasks and allocations.
void FaultOnCall(const char* call);

}  // namespace ascend_sim
