// SPDX-License-Identifier: Apache-2.0
#include "acl/runtime/memory.h"

#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"
#include "acl/base/soc.h"
#include "acl/observe/counters.h"
#include "acl/observe/faults.h"
#include "acl/observe/order.h"
#include "acl/runtime/arena.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"
#include "ascend_sim/memory.h"

namespace ascend_sim {
namespace {

constexpr size_t kStep = 32;

size_t RoundUp(size_t size, size_t step) { return (size + step - 1) / step * step; }

struct Block {
  size_t size;
  MemoryKind kind;
  int device;
  int64_t accounted;  // bytes taken from the device's ledger
  bool owned;         // to be freed here
  uint64_t serial = 0;
};

// Every block of this process by its first address.
class Blocks {
 public:
  void Enter(void* base, Block block) {
    const std::unique_lock lock(mutex_);
    block.serial = ++last_serial_;
    blocks_[reinterpret_cast<uintptr_t>(base)] = block;
  }

  // Takes out the block that starts at `base` and is of `kind`; false when there is none.
  bool Take(const void* base, MemoryKind kind, bool owned, Block* block) {
    const std::unique_lock lock(mutex_);
    const auto found = blocks_.find(reinterpret_cast<uintptr_t>(base));
    if (found == blocks_.end() || found->second.kind != kind || found->second.owned != owned) {
      return false;
    }
    *block = found->second;
    blocks_.erase(found);
    return true;
  }

  MemoryInfo Find(const void* address) const {
    const auto at = reinterpret_cast<uintptr_t>(address);
    const std::shared_lock lock(mutex_);
    auto next = blocks_.upper_bound(at);
    if (next == blocks_.begin()) return {};
    const auto& [base, block] = *--next;
    if (at >= base + block.size) return {};
    return {block.kind, block.device, reinterpret_cast<const void*>(base), block.size,
            block.serial};
  }

  std::map<uintptr_t, Block> TakeAllOf(int device) {
    std::map<uintptr_t, Block> taken;
    const std::unique_lock lock(mutex_);
    for (auto at = blocks_.begin(); at != blocks_.end();) {
      const Block& block = at->second;
      if (block.kind == MemoryKind::kDevice && block.owned && block.device == device) {
        taken.insert(*at);
        at = blocks_.erase(at);
      } else {
        ++at;
      }
    }
    return taken;
  }

 private:
  mutable std::shared_mutex mutex_;
  std::map<uintptr_t, Block> blocks_;
  uint64_t last_serial_ = 0;
};

Blocks& AllBlocks() {
  static auto* const blocks = new Blocks;
  return *blocks;
}

void* Allocate(size_t size) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kMemoryAlignment, size) != 0) throw std::bad_alloc();
  return memory;
}

void Release(Device& device, void* base, const Block& block) {
  if (OrderObserver* order = OrderObserver::Get()) order->Forget(base, block.size);
  CloseExportsOf(base);
  DeviceArena().Give(base, block.size);
  device.Resources().hbm.Give(block.accounted);
  CountDeviceBytes(-block.accounted);
}

void* AllocateOnDevice(size_t size, size_t guard) {
  Require(size > 0, kInvalidParam, "size is 0");
  Device& device = CurrentContext()->OnDevice();
  FaultOnAllocation(size);
  Require(size <= static_cast<size_t>(device.Resources().hbm.Limit()), kMemoryAllocation,
          "more than the device's whole memory");
  const auto bytes = static_cast<int64_t>(RoundUp(size, kStep) + guard);
  Claim claim(device.Resources().hbm, bytes);
  void* memory = DeviceArena().Take(bytes);
  AllBlocks().Enter(memory,
                    {static_cast<size_t>(bytes), MemoryKind::kDevice, device.Id(), bytes, true});
  claim.Release();  // the block accounts for it from now on
  CountDeviceBytes(bytes);
  return memory;
}

void* AllocatePinned(size_t size) {
  Require(size > 0, kInvalidParam, "size is 0");
  FaultOnAllocation(size);
  void* memory = Allocate(size);
  AllBlocks().Enter(memory, {size, MemoryKind::kPinned, 0, 0, true});
  return memory;
}

// Asks the kernel, which does not fault on behalf of others.
bool IsMapped(const void* address) {
  char byte = 0;
  iovec here{&byte, 1};
  iovec there{const_cast<void*>(address), 1};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1 || errno != EFAULT;
}

// Makes the caller's own memory pinned.
void Register(void* address, uint64_t size) {
  RequirePtr(address, "ptr");
  Require(size > 0, kRtParamInvalid, "size is 0");
  Require(Describe(address).kind == MemoryKind::kPageable, kHostRegistered,
          "this memory is already known to the runtime");
  RequireMemory(address, size, "ptr");
  EnterMemory(address, size, MemoryKind::kPinned, 0);
}

}  // namespace

MemoryInfo Describe(const void* address) { return AllBlocks().Find(address); }

bool DeviceCanReach(const void* begin, size_t bytes) noexcept {
  const auto* at = static_cast<const char*>(begin);
  for (const auto* const end = at + bytes; at < end;) {
    const MemoryInfo block = Describe(at);
    if (block.kind == MemoryKind::kPageable) return false;
    at = static_cast<const char*>(block.base) + block.size;
  }
  return true;
}

void RequireMemory(const void* address, size_t count, const char* what) {
  if (count == 0) return;
  const auto* at = static_cast<const char*>(address);
  const auto* const last =
      reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(at) + count - 1);
  MemoryInfo block = Describe(at);
  if (block.kind == MemoryKind::kPageable) {
    if (DeviceArena().Contains(at)) {
      Raise(kRtParamInvalid, std::string(what) + " is device memory that was freed");
    }
    const bool own = last >= at && !DeviceArena().Contains(last);
    if (own && IsMapped(at) && IsMapped(last)) return;
    Raise(kRtParamInvalid, std::string(what) + " is not memory of this process");
  }
  bool inside = last >= at;
  for (const MemoryKind kind = block.kind; inside && at <= last; block = Describe(at)) {
    inside = block.kind == kind;
    at = static_cast<const char*>(block.base) + block.size;
  }
  if (!inside) {
    Raise(kRtParamInvalid, "the " + std::to_string(count) + " bytes from " + what +
                               " are more than the block of memory has");
  }
}

void EnterMemory(void* base, size_t size, MemoryKind kind, int device) {
  AllBlocks().Enter(base, {size, kind, device, 0, false});
}

void RemoveMemory(void* base) {
  Block block{};
  if (!AllBlocks().Take(base, MemoryKind::kDevice, false, &block)) {
    AllBlocks().Take(base, MemoryKind::kPinned, false, &block);
  }
}

void FreeDeviceMemory(int device) {
  for (const auto& [base, block] : AllBlocks().TakeAllOf(device)) {
    Release(DeviceAt(device), reinterpret_cast<void*>(base), block);
  }
}

void CountDeviceBytes(int64_t bytes) {
  const uint64_t now = Count().bytes_allocated->fetch_add(static_cast<uint64_t>(bytes)) + bytes;
  std::atomic<uint64_t>& peak = *Count().bytes_allocated_peak;
  uint64_t seen = peak.load();
  while (bytes > 0 && now > seen && !peak.compare_exchange_weak(seen, now)) {
  }
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtMalloc(void** address, size_t size, int) {
  return Abi("aclrtMalloc", [&] {
    RequirePtr(address, "devPtr");
    *address = AllocateOnDevice(size, ThisSoc().family->allocation_guard);
  });
}

ASCEND_SIM_ABI aclError aclrtMallocAlign32(void** address, size_t size, int) {
  return Abi("aclrtMallocAlign32", [&] {
    RequirePtr(address, "devPtr");
    *address = AllocateOnDevice(size, 0);
  });
}

ASCEND_SIM_ABI aclError aclrtFree(void* address) {
  return Abi("aclrtFree", [&] {
    RequirePtr(address, "devPtr");
    Block block{};
    Require(AllBlocks().Take(address, MemoryKind::kDevice, true, &block), kRtParamInvalid,
            "not the start of a live block of device memory");
    if (OrderObserver* order = OrderObserver::Get())
      order->OnFree("aclrtFree", address, block.size);
    Release(DeviceAt(block.device), address, block);
  });
}

ASCEND_SIM_ABI aclError aclrtMallocHost(void** address, size_t size) {
  return Abi("aclrtMallocHost", [&] {
    RequirePtr(address, "hostPtr");
    *address = AllocatePinned(size);
  });
}

// The configuration only carries attributes (owning module, location) that change nothing here.
ASCEND_SIM_ABI aclError aclrtMallocHostWithCfg(void** address, uint64_t size, void*) {
  return Abi("aclrtMallocHostWithCfg", [&] {
    RequirePtr(address, "ptr");
    *address = AllocatePinned(size);
  });
}

ASCEND_SIM_ABI aclError aclrtFreeHost(void* address) {
  return Abi("aclrtFreeHost", [&] {
    RequirePtr(address, "hostPtr");
    Block block{};
    Require(AllBlocks().Take(address, MemoryKind::kPinned, true, &block), kRtParamInvalid,
            "not the start of a live block of pinned host memory");
    if (OrderObserver* order = OrderObserver::Get())
      order->OnFree("aclrtFreeHost", address, block.size);
    std::free(address);
  });
}

ASCEND_SIM_ABI aclError aclrtHostRegister(void* address, uint64_t size, int,
                                          void** device_address) {
  return Abi("aclrtHostRegister", [&] {
    RequirePtr(device_address, "devPtr");
    Register(address, size);
    *device_address = address;
  });
}

ASCEND_SIM_ABI aclError aclrtHostRegisterV2(void* address, uint64_t size, uint32_t) {
  return Abi("aclrtHostRegisterV2", [&] { Register(address, size); });
}

ASCEND_SIM_ABI aclError aclrtHostUnregister(void* address) {
  return Abi("aclrtHostUnregister", [&] {
    RequirePtr(address, "ptr");
    Block block{};
    Require(AllBlocks().Take(address, MemoryKind::kPinned, false, &block), kHostNotRegistered,
            "not the start of registered host memory");
  });
}

// Host and device share one address space here.
ASCEND_SIM_ABI aclError aclrtHostGetDevicePointer(void* host, void** device, uint32_t) {
  return Abi("aclrtHostGetDevicePointer", [&] {
    RequirePtr(host, "pHost");
    RequirePtr(device, "pDevice");
    Require(Describe(host).kind == MemoryKind::kPinned, kHostNotRegistered,
            "the memory is neither pinned nor registered");
    *device = host;
  });
}

// Answers for HBM, whatever the page size; the chips have no other memory, and asking for it gives
// zeros.
ASCEND_SIM_ABI aclError aclrtGetMemInfo(int attribute, size_t* free_bytes, size_t* total_bytes) {
  return Abi("aclrtGetMemInfo", [&] {
    RequirePtr(free_bytes, "free");
    RequirePtr(total_bytes, "total");
    const Quota& hbm = CurrentContext()->OnDevice().Resources().hbm;
    const bool is_hbm = attribute == abi::kMemHbm || attribute == abi::kMemHbmHuge ||
                        attribute == abi::kMemHbmNormal || attribute == abi::kMemHbmHuge1G;
    *total_bytes = is_hbm ? static_cast<size_t>(hbm.Limit()) : 0;
    *free_bytes = is_hbm ? static_cast<size_t>(hbm.Available()) : 0;
  });
}

ASCEND_SIM_ABI aclError aclrtPointerGetAttributes(const void* address,
                                                  abi::PtrAttributes* attributes) {
  return Abi("aclrtPointerGetAttributes", [&] {
    RequirePtr(address, "ptr");
    RequirePtr(attributes, "attributes");
    const MemoryInfo info = Describe(address);
    *attributes = {};
    attributes->location.id = static_cast<uint32_t>(info.device);
    attributes->location.type = info.kind == MemoryKind::kDevice   ? abi::kLocationDevice
                                : info.kind == MemoryKind::kPinned ? abi::kLocationHost
                                                                   : abi::kLocationUnregistered;
    attributes->page_size = info.kind == MemoryKind::kDevice ? 2u << 20 : 4096;
  });
}
