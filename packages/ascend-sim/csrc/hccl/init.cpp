// SPDX-License-Identifier: Apache-2.0
//
// Creates, queries and destroys communicators.
#include <vector>

#include "abi/acl.h"
#include "hccl/communicator.h"
#include "hccl/error.h"
#include "hccl/segment.h"

namespace ascend_sim::hccl {

extern "C" aclError aclrtGetDevice(int32_t* device);
extern "C" aclError aclrtSetDevice(int32_t device);

namespace {

// A rank uses the device of the thread that joins.
int32_t CurrentDevice() {
  int32_t device = 0;
  Require(aclrtGetDevice(&device) == 0, abi::kHcclRuntime,
          "this thread has no device: call aclrtSetDevice first");
  return device;
}

HcclComm Join(const abi::HcclRootInfo& info, uint32_t ranks, uint32_t rank,
              const abi::HcclCommConfig* config) {
  const int32_t device = CurrentDevice();
  CommunicatorOptions options = CommunicatorOptions::From(config);
  const auto segment = Segment::Join(info, ranks, rank);
  const auto made = std::make_shared<Communicator>(segment, std::move(options), device);
  segment->AwaitAll();
  return Register(made);
}

}  // namespace

ASCEND_SIM_ABI int HcclGetRootInfo(abi::HcclRootInfo* info) {
  return Call("HcclGetRootInfo", [&] {
    RequirePtr(info, "rootInfo");
    CurrentDevice();
    MakeRoot(*info);
  });
}

ASCEND_SIM_ABI int HcclCommInitRootInfoConfig(uint32_t ranks, const abi::HcclRootInfo* info,
                                              uint32_t rank, const abi::HcclCommConfig* config,
                                              HcclComm* comm) {
  return Call("HcclCommInitRootInfoConfig", [&] {
    RequirePtr(info, "rootInfo");
    RequirePtr(config, "config");
    RequirePtr(comm, "comm");
    *comm = Join(*info, ranks, rank, config);
  });
}

ASCEND_SIM_ABI int HcclCommInitRootInfo(uint32_t ranks, const abi::HcclRootInfo* info,
                                        uint32_t rank, HcclComm* comm) {
  return Call("HcclCommInitRootInfo", [&] {
    RequirePtr(info, "rootInfo");
    RequirePtr(comm, "comm");
    *comm = Join(*info, ranks, rank, nullptr);
  });
}

// All ranks in this process, rank i on devices[i].
ASCEND_SIM_ABI int HcclCommInitAll(uint32_t count, int32_t* devices, HcclComm* comms) {
  return Call("HcclCommInitAll", [&] {
    RequirePtr(devices, "devices");
    RequirePtr(comms, "comms");
    const int32_t before = CurrentDevice();
    const CommunicatorOptions options = CommunicatorOptions::From(nullptr);
    abi::HcclRootInfo info;
    MakeRoot(info);
    std::vector<std::shared_ptr<Communicator>> made;
    for (uint32_t rank = 0; rank < count; ++rank) {
      if (aclrtSetDevice(devices[rank]) != 0) {
        Raise(abi::kHcclPara, "device " + std::to_string(devices[rank]) + " does not exist");
      }
      const auto segment = Segment::Join(info, count, rank);
      if (rank + 1 == count) segment->AwaitAll();
      made.push_back(std::make_shared<Communicator>(segment, options, devices[rank]));
    }
    aclrtSetDevice(before);
    for (uint32_t rank = 0; rank < count; ++rank) comms[rank] = Register(made[rank]);
  });
}

ASCEND_SIM_ABI int HcclCommDestroy(HcclComm comm) {
  return Call("HcclCommDestroy", [&] { Destroy(comm); });
}

ASCEND_SIM_ABI int HcclGetRankSize(HcclComm comm, uint32_t* ranks) {
  return Call("HcclGetRankSize", [&] {
    RequirePtr(ranks, "rankSize");
    *ranks = CommunicatorArg(comm)->Ranks();
  });
}

ASCEND_SIM_ABI int HcclGetRankId(HcclComm comm, uint32_t* rank) {
  return Call("HcclGetRankId", [&] {
    RequirePtr(rank, "rank");
    *rank = CommunicatorArg(comm)->Rank();
  });
}

// `name` has room for 128 characters, including the terminating zero.
ASCEND_SIM_ABI int HcclGetCommName(HcclComm comm, char* name) {
  return Call("HcclGetCommName", [&] {
    RequirePtr(name, "commName");
    const std::string& text = CommunicatorArg(comm)->Name();
    name[text.copy(name, abi::kHcclNameBytes - 1)] = '\0';
  });
}

// Leaves the text of the failure for aclGetRecentErrMsg on the calling thread.
ASCEND_SIM_ABI int HcclGetCommAsyncError(HcclComm comm, abi::HcclResult* error) {
  return Call("HcclGetCommAsyncError", [&] {
    RequirePtr(error, "asyncError");
    const auto communicator = CommunicatorArg(comm);
    *error = communicator->AsyncError();
    if (*error == abi::kHcclSuccess) return;
    Fail(*error, "HcclGetCommAsyncError", communicator->FailureText());
  });
}

// The supported fields of a configuration: those up to the time-out of collectives.
ASCEND_SIM_ABI uint32_t HcclGetCommConfigCapability() {
  constexpr uint32_t kUpToExecTimeout = 9;
  return kUpToExecTimeout;
}

}  // namespace ascend_sim::hccl
