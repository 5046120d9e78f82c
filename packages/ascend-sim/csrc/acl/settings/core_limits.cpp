// SPDX-License-Identifier: Apache-2.0
//
// Core limits: advice for the tiling of operators, kept per device and per stream and enforced by
// nobody.
#include <atomic>
#include <string>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "acl/runtime/context.h"
#include "acl/runtime/stream.h"

namespace ascend_sim {
namespace {

uint32_t Hardware(int type) {
  Require(type == abi::kResCube || type == abi::kResVector, kRtParamInvalid,
          "the resource must be 0 (cube cores) or 1 (vector cores)");
  return static_cast<uint32_t>(type == abi::kResCube ? ThisSoc().cube_cores
                                                     : ThisSoc().vector_cores);
}

void Set(std::atomic<uint32_t> (&limits)[2], int type, uint32_t value) {
  const uint32_t hardware = Hardware(type);
  if (value == 0 || value > hardware) {
    Raise(kRtParamInvalid, "the limit must be from 1 to " + std::to_string(hardware));
  }
  limits[type].store(value);
}

void Reset(std::atomic<uint32_t> (&limits)[2]) {
  for (auto& limit : limits) limit.store(0);
}

// The limit of a device, or else the hardware's.
uint32_t Get(const Device& device, int type) {
  const uint32_t hardware = Hardware(type);
  const uint32_t limit = device.core_limits[type].load();
  return limit != 0 ? limit : hardware;
}

// The limit of a stream, or else of its device.
uint32_t Get(const Stream& stream, int type) {
  Hardware(type);
  const uint32_t limit = stream.core_limits[type].load();
  return limit != 0 ? limit : Get(stream.OnDevice(), type);
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtSetDeviceResLimit(int32_t device, int type, uint32_t value) {
  return Abi("aclrtSetDeviceResLimit", [&] { Set(DeviceAt(device).core_limits, type, value); });
}

ASCEND_SIM_ABI aclError aclrtGetDeviceResLimit(int32_t device, int type, uint32_t* value) {
  return Abi("aclrtGetDeviceResLimit", [&] {
    RequirePtr(value, "value");
    *value = Get(DeviceAt(device), type);
  });
}

ASCEND_SIM_ABI aclError aclrtResetDeviceResLimit(int32_t device) {
  return Abi("aclrtResetDeviceResLimit", [&] { Reset(DeviceAt(device).core_limits); });
}

ASCEND_SIM_ABI aclError aclrtSetStreamResLimit(aclrtStream stream, int type, uint32_t value) {
  return Abi("aclrtSetStreamResLimit", [&] { Set(StreamArg(stream)->core_limits, type, value); });
}

ASCEND_SIM_ABI aclError aclrtGetStreamResLimit(aclrtStream stream, int type, uint32_t* value) {
  return Abi("aclrtGetStreamResLimit", [&] {
    RequirePtr(value, "value");
    *value = Get(*StreamArg(stream), type);
  });
}

ASCEND_SIM_ABI aclError aclrtResetStreamResLimit(aclrtStream stream) {
  return Abi("aclrtResetStreamResLimit", [&] { Reset(StreamArg(stream)->core_limits); });
}

ASCEND_SIM_ABI aclError aclrtUseStreamResInCurrentThread(aclrtStream stream) {
  return Abi("aclrtUseStreamResInCurrentThread",
             [&] { ThisThread().limits_stream = StreamArg(stream)->Handle(); });
}

// A stream that is not in use is left alone.
ASCEND_SIM_ABI aclError aclrtUnuseStreamResInCurrentThread(aclrtStream stream) {
  return Abi("aclrtUnuseStreamResInCurrentThread", [&] {
    void*& in_use = ThisThread().limits_stream;
    if (in_use == StreamArg(stream)->Handle()) in_use = nullptr;
  });
}

ASCEND_SIM_ABI aclError aclrtGetResInCurrentThread(int type, uint32_t* value) {
  return Abi("aclrtGetResInCurrentThread", [&] {
    RequirePtr(value, "value");
    const auto stream = Streams().Find(ThisThread().limits_stream);
    *value = stream ? Get(*stream, type) : Get(CurrentContext()->OnDevice(), type);
  });
}
