// SPDX-License-Identifier: Apache-2.0
//
// Device memory of one process in another: a block of aclrtMalloc by a key. (Physical memory has
// shareable handles instead: virtual_memory.cpp.)
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/machine/export_table.h"
#include "acl/runtime/arena.h"
#include "acl/runtime/context.h"
#include "acl/runtime/device.h"
#include "acl/runtime/memory.h"

namespace ascend_sim {
namespace {

// A block of another process, mapped here. Counts how often it was imported.
struct Import {
  char* pages;
  size_t page_bytes;
  char* block;
  int users = 1;
};

struct Ipc {
  std::mutex mutex;
  std::map<uint64_t, std::unique_ptr<MemoryExport>> exports;  // by key
  std::map<const void*, uint64_t> exported;                   // the key of a block
  std::map<uint64_t, Import> imports;                         // by key

  MemoryExport& ExportOf(const ExportKey& key) {
    const auto found = exports.find(key.Packed());
    Require(found != exports.end(), kRtParamInvalid, "the key was not made by this process");
    return *found->second;
  }
};

Ipc& TheIpc() {
  static auto* const ipc = new Ipc;
  return *ipc;
}

ExportKey KeyArg(const char* key) {
  RequirePtr(key, "key");
  return ExportKey::Parse(key, abi::kIpcKeyBytes);
}

ExportKey Export(const void* address, size_t size, bool for_all) {
  Arena& arena = DeviceArena();
  Require(arena.Contains(address), kRtParamInvalid, "devPtr is not memory of aclrtMalloc");
  RequireMemory(address, size, "devPtr");
  Require(arena.File() >= 0, kNotSupported, "a fork cannot share memory");
  const MemoryInfo block = Describe(address);
  auto made = std::make_unique<MemoryExport>(arena.File(), arena.OffsetOf(address), size,
                                             DeviceAt(block.device).MachineId(), for_all);
  const ExportKey key = made->Key();
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mutex);
  ipc.exports[key.Packed()] = std::move(made);
  ipc.exported[block.base] = key.Packed();
  return key;
}

Import Map(const OpenedMemory& memory) {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t lead = memory.offset % page;
  Import import{nullptr, lead + memory.size, nullptr};
  void* pages = mmap(nullptr, import.page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory.file,
                     static_cast<off_t>(memory.offset - lead));
  const int cause = errno;
  close(memory.file);
  if (pages == MAP_FAILED) Raise(kDriver, std::string("cannot map: ") + std::strerror(cause));
  madvise(pages, import.page_bytes, MADV_DONTFORK);
  import.pages = static_cast<char*>(pages);
  import.block = import.pages + lead;
  EnterMemory(import.block, memory.size, MemoryKind::kDevice, DeviceOnMachine(memory.device).Id());
  return import;
}

void* ImportByKey(const ExportKey& key, bool from_peers) {
  const int device = CurrentContext()->OnDevice().MachineId();
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mutex);
  if (const auto known = ipc.imports.find(key.Packed()); known != ipc.imports.end()) {
    ++known->second.users;
    return known->second.block;
  }
  const OpenedMemory memory = OpenMemory(key);
  if (memory.device != device && !from_peers) {
    close(memory.file);
    Raise(kRtParamInvalid, "the memory is on device " + std::to_string(memory.device) +
                               ": importing it on device " + std::to_string(device) +
                               " needs the flag for access to peers");
  }
  return ipc.imports.emplace(key.Packed(), Map(memory)).first->second.block;
}

void Close(const ExportKey& key) {
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mutex);
  const auto import = ipc.imports.find(key.Packed());
  if (import == ipc.imports.end()) {
    ipc.ExportOf(key);
    ipc.exports.erase(key.Packed());
    std::erase_if(ipc.exported, [&](const auto& each) { return each.second == key.Packed(); });
    return;
  }
  if (--import->second.users > 0) return;
  RemoveMemory(import->second.block);
  munmap(import->second.pages, import->second.page_bytes);
  ipc.imports.erase(import);
}

}  // namespace

void CloseExportsOf(const void* base) {
  Ipc& ipc = TheIpc();
  const std::lock_guard lock(ipc.mutex);
  const auto found = ipc.exported.find(base);
  if (found == ipc.exported.end()) return;
  ipc.exports.erase(found->second);
  ipc.exported.erase(found);
}

}  // namespace ascend_sim

using namespace ascend_sim;

ASCEND_SIM_ABI aclError aclrtIpcMemGetExportKey(void* address, size_t size, char* key, size_t room,
                                                uint64_t flags) {
  return Abi("aclrtIpcMemGetExportKey", [&] {
    RequirePtr(address, "devPtr");
    RequirePtr(key, "key");
    Require(size > 0 && room >= abi::kIpcKeyBytes && flags <= abi::kIpcExportForAll,
            kRtParamInvalid, "size must be positive, len at least 65 and the flags 0 or 1");
    const std::string text = Export(address, size, flags == abi::kIpcExportForAll).Text();
    std::memset(key, 0, abi::kIpcKeyBytes);  // room may be more than there is
    text.copy(key, abi::kIpcKeyBytes - 1);
  });
}

ASCEND_SIM_ABI aclError aclrtIpcMemSetImportPid(const char* key, int32_t* pids, size_t count) {
  return Abi("aclrtIpcMemSetImportPid", [&] {
    RequirePtr(pids, "pid");
    const ExportKey export_key = KeyArg(key);
    Ipc& ipc = TheIpc();
    const std::lock_guard lock(ipc.mutex);
    ipc.ExportOf(export_key).Allow(pids, count);
  });
}

ASCEND_SIM_ABI aclError aclrtIpcMemImportByKey(void** address, const char* key, uint64_t flags) {
  return Abi("aclrtIpcMemImportByKey", [&] {
    RequirePtr(address, "devPtr");
    Require(flags <= abi::kIpcImportFromPeers, kRtParamInvalid, "the flags must be 0 or 1");
    *address = ImportByKey(KeyArg(key), flags == abi::kIpcImportFromPeers);
  });
}

ASCEND_SIM_ABI aclError aclrtIpcMemClose(const char* key) {
  return Abi("aclrtIpcMemClose", [&] { Close(KeyArg(key)); });
}
