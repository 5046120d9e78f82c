// SPDX-License-Identifier: Apache-2.0
//
// Virtual memory management: address ranges, physical memory and the mapping of one into the other.
// Physical memory is a memory file; mapping it is mmap. Ranges that are not mapped fault.
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/base/handle.h"
#include "acl/machine/export_table.h"
#include "acl/observe/faults.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"
#include "acl/runtime/memory.h"

namespace ascend_sim {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kGiantPage = size_t{1} << 30;

// A piece of physical memory. Owned by its handle and by the mappings of it.
class Physical {
 public:
  // Null `device`: host memory.
  Physical(Device* device, size_t size)
      : device_(device),
        size_(size),
        claim_(device ? Claim(device->Resources().hbm, Signed()) : Claim()) {
    file_ = memfd_create("ascend-sim-memory", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, Signed()) != 0) {
      const int cause = errno;
      if (file_ >= 0) close(file_);
      Raise(kMemoryAllocation, std::string("no physical memory: ") + std::strerror(cause));
    }
    if (device_) CountDeviceBytes(Signed());
  }
  // Of another process, which accounts for it.
  explicit Physical(const OpenedMemory& opened)
      : device_(&DeviceOnMachine(opened.device)),
        size_(opened.size),
        imported_(true),
        file_(opened.file) {}
  Physical(const Physical&) = delete;
  Physical& operator=(const Physical&) = delete;
  ~Physical() {
    shared_.reset();  // before its file
    close(file_);
    if (device_ && !imported_) CountDeviceBytes(-Signed());
  }

  size_t Size() const { return size_; }
  int File() const { return file_; }
  MemoryKind Kind() const { return device_ ? MemoryKind::kDevice : MemoryKind::kPinned; }
  int DeviceId() const { return device_ ? device_->Id() : 0; }
  bool mapped = false;  // guarded by the mutex of the address space

  // The way for others to this memory, the same at each call.
  MemoryExport& Share(bool for_all) {
    Require(device_ != nullptr && !imported_, kNotSupported,
            "only device memory of this process can be shared");
    const std::lock_guard lock(mutex_);
    if (!shared_)
      shared_ = std::make_unique<MemoryExport>(file_, 0, size_, device_->MachineId(), for_all);
    return *shared_;
  }
  MemoryExport* Shared() {
    const std::lock_guard lock(mutex_);
    return shared_.get();
  }

 private:
  int64_t Signed() const { return static_cast<int64_t>(size_); }

  Device* const device_;
  const size_t size_;
  const bool imported_ = false;
  const Claim claim_;
  int file_ = -1;
  std::mutex mutex_;
  std::unique_ptr<MemoryExport> shared_;
};

struct Range {
  size_t size;
  std::map<uintptr_t, std::shared_ptr<Physical>> mappings;
};

// All reserved ranges of this process.
struct AddressSpace {
  std::mutex mutex;
  std::map<uintptr_t, Range> ranges;

  // The range that holds [address, address + size); fails with 107000 when there is none.
  Range& At(uintptr_t address, size_t size) {
    auto next = ranges.upper_bound(address);
    Require(next != ranges.begin(), kRtParamInvalid, "the address was not reserved");
    auto& [base, range] = *--next;
    Require(address + size <= base + range.size, kRtParamInvalid, "the address was not reserved");
    return range;
  }
};

AddressSpace& TheSpace() {
  static auto* const space = new AddressSpace;
  return *space;
}

Handles<Physical>& Physicals() {
  static auto* const physicals = new Handles<Physical>("physical memory", 6);
  return *physicals;
}

// A memory file may be larger than all memory; what is in it may not.
size_t HostMemory() {
  return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

size_t Granularity(const abi::PhysicalMemProp& prop) {
  return prop.mem_attr == abi::kMemHbmHuge1G ? kGiantPage : kHugePage;
}

void CheckProp(const abi::PhysicalMemProp* prop) {
  RequirePtr(prop, "prop");
  Require(prop->handle_type == 0 && prop->allocation_type == 0, kInvalidParam,
          "only handle type NONE and allocation type PINNED are supported");
  const bool on_device = prop->location.type == abi::kLocationDevice;
  Require(on_device || prop->location.type == abi::kLocationHost, kInvalidParam,
          "the location must be a device or the host");
  const uint32_t attribute = prop->mem_attr;
  const bool hbm = attribute == abi::kMemHbm || attribute == abi::kMemHbmHuge ||
                   attribute == abi::kMemHbmNormal || attribute == abi::kMemHbmHuge1G;
  Require(!on_device || hbm, kInvalidParam, "device memory must have an HBM attribute");
}

void Unmap(uintptr_t address, const Physical& physical) {
  auto* memory = reinterpret_cast<void*>(address);
  mmap(memory, physical.Size(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
       -1, 0);
  RemoveMemory(memory);
}

void Map(uintptr_t address, const std::shared_ptr<Physical>& physical) {
  AddressSpace& space = TheSpace();
  const std::lock_guard lock(space.mutex);
  Range& range = space.At(address, physical->Size());
  Require(!physical->mapped, kRtParamInvalid, "the physical memory is already mapped");
  auto* memory = reinterpret_cast<void*>(address);
  Require(Describe(memory).base == nullptr, kRtParamInvalid, "the address is mapped already");
  if (mmap(memory, physical->Size(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
           physical->File(), 0) == MAP_FAILED) {
    Raise(kDriver, std::string("cannot map: ") + std::strerror(errno));
  }
  EnterMemory(memory, physical->Size(), physical->Kind(), physical->DeviceId());
  physical->mapped = true;
  range.mappings[address] = physical;
}

}  // namespace
}  // namespace ascend_sim

using namespace ascend_sim;

// Flags: 0, or 1 for huge pages, which is what there is.
ASCEND_SIM_ABI aclError aclrtReserveMemAddress(void** address, size_t size, size_t alignment,
                                               void* wanted, uint64_t flags) {
  return Abi("aclrtReserveMemAddress", [&] {
    RequirePtr(address, "virPtr");
    Require(size > 0 && alignment == 0 && wanted == nullptr && flags <= 1, kInvalidParam,
            "size must be positive, alignment 0, the expected address null and flags 0 or 1");
    Require(size <= SIZE_MAX - kHugePage, kMemoryAllocation, "more than all addresses there are");
    // Room to begin at a huge page.
    const size_t room = size + kHugePage;
    void* memory =
        mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) Raise(kMemoryAllocation, "no address space left on the host");
    const auto start = reinterpret_cast<uintptr_t>(memory);
    const uintptr_t base = (start + kHugePage - 1) / kHugePage * kHugePage;
    if (base > start) munmap(memory, base - start);
    AddressSpace& space = TheSpace();
    const std::lock_guard lock(space.mutex);
    space.ranges[base] = {start + room - base, {}};
    *address = reinterpret_cast<void*>(base);
  });
}

ASCEND_SIM_ABI aclError aclrtReleaseMemAddress(void* address) {
  return Abi("aclrtReleaseMemAddress", [&] {
    RequirePtr(address, "virPtr");
    AddressSpace& space = TheSpace();
    const std::lock_guard lock(space.mutex);
    const auto found = space.ranges.find(reinterpret_cast<uintptr_t>(address));
    Require(found != space.ranges.end(), kRtParamInvalid, "not the start of a reserved range");
    Require(found->second.mappings.empty(), kRtParamInvalid, "unmap the range before releasing it");
    munmap(address, found->second.size);
    space.ranges.erase(found);
  });
}

ASCEND_SIM_ABI aclError aclrtMemGetAllocationGranularity(const abi::PhysicalMemProp* prop,
                                                         int option, size_t* granularity) {
  return Abi("aclrtMemGetAllocationGranularity", [&] {
    RequirePtr(granularity, "granularity");
    CheckProp(prop);
    Require(option == abi::kGranularityMinimum || option == abi::kGranularityRecommended,
            kInvalidParam, "the option must be 0 (minimum) or 1 (recommended)");
    *granularity = Granularity(*prop);
  });
}

ASCEND_SIM_ABI aclError aclrtMallocPhysical(aclrtDrvMemHandle* handle, size_t size,
                                            const abi::PhysicalMemProp* prop, uint64_t flags) {
  return Abi("aclrtMallocPhysical", [&] {
    RequirePtr(handle, "handle");
    CheckProp(prop);
    Require(size > 0 && flags == 0, kInvalidParam, "size must be positive and flags 0");
    if (size % Granularity(*prop) != 0) {
      Raise(kRtParamInvalid,
            "size must be a multiple of " + std::to_string(Granularity(*prop)) + " bytes");
    }
    FaultOnAllocation(size);
    Device* device =
        prop->location.type == abi::kLocationDevice ? &DeviceAt(prop->location.id) : nullptr;
    Require(device != nullptr || size <= HostMemory(), kMemoryAllocation,
            "more than the host's whole memory");
    void* token = Physicals().Reserve();
    Physicals().Add(token, std::make_shared<Physical>(device, size));
    *handle = token;
  });
}

// Memory that is still mapped is freed when it is unmapped.
ASCEND_SIM_ABI aclError aclrtFreePhysical(aclrtDrvMemHandle handle) {
  return Abi("aclrtFreePhysical", [&] {
    Physicals().Get(handle);
    Physicals().Remove(handle);
  });
}

ASCEND_SIM_ABI aclError aclrtMapMem(void* address, size_t size, size_t offset,
                                    aclrtDrvMemHandle handle, uint64_t flags) {
  return Abi("aclrtMapMem", [&] {
    RequirePtr(address, "virPtr");
    const auto physical = Physicals().Get(handle);
    Require(size == physical->Size() && offset == 0 && flags == 0, kInvalidParam,
            "size must be that of the physical memory, offset and flags 0");
    Map(reinterpret_cast<uintptr_t>(address), physical);
  });
}

ASCEND_SIM_ABI aclError aclrtUnmapMem(void* address) {
  return Abi("aclrtUnmapMem", [&] {
    RequirePtr(address, "virPtr");
    AddressSpace& space = TheSpace();
    const std::lock_guard lock(space.mutex);
    const auto at = reinterpret_cast<uintptr_t>(address);
    Range& range = space.At(at, 0);
    const auto found = range.mappings.find(at);
    Require(found != range.mappings.end(), kRtParamInvalid, "nothing is mapped at this address");
    Unmap(at, *found->second);
    found->second->mapped = false;
    range.mappings.erase(found);
  });
}

ASCEND_SIM_ABI aclError aclrtMemExportToShareableHandle(aclrtDrvMemHandle handle, int handle_type,
                                                        uint64_t flags, uint64_t* shareable) {
  return Abi("aclrtMemExportToShareableHandle", [&] {
    const auto physical = Physicals().Get(handle);
    RequirePtr(shareable, "shareableHandle");
    Require(handle_type == 0 && flags <= abi::kIpcExportForAll, kInvalidParam,
            "the type must be 0 (none) and the flags 0 or 1");
    *shareable = physical->Share(flags == abi::kIpcExportForAll).Key().Packed();
  });
}

ASCEND_SIM_ABI aclError aclrtMemSetPidToShareableHandle(uint64_t shareable, int32_t* pids,
                                                        size_t count) {
  return Abi("aclrtMemSetPidToShareableHandle", [&] {
    RequirePtr(pids, "pid");
    for (const auto& physical : Physicals().All()) {
      MemoryExport* shared = physical->Shared();
      if (shared != nullptr && shared->Key().Packed() == shareable) {
        return shared->Allow(pids, count);
      }
    }
    Raise(kRtParamInvalid, "the shareable handle was not made by this process");
  });
}

ASCEND_SIM_ABI aclError aclrtMemImportFromShareableHandle(uint64_t shareable, int32_t device,
                                                          aclrtDrvMemHandle* handle) {
  return Abi("aclrtMemImportFromShareableHandle", [&] {
    RequirePtr(handle, "handle");
    DeviceAt(device);
    const auto physical = std::make_shared<Physical>(OpenMemory(ExportKey::Unpack(shareable)));
    void* token = Physicals().Reserve();
    Physicals().Add(token, physical);
    *handle = token;
  });
}
