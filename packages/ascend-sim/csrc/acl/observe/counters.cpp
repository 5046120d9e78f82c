// SPDX-License-Identifier: Apache-2.0
#include "acl/observe/counters.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <unordered_map>

#include "abi/acl.h"
#include "acl/base/config.h"
#include "acl/base/error.h"

namespace ascend_sim {
namespace {

// The layout agreed with readers: magic, number of entries, entries. A reader needs no table of
// names.
struct Entry {
  char name[40];
  std::atomic<uint64_t> value;
};
static_assert(sizeof(Entry) == 48);

constexpr const char* kNames[] = {
#define ASCEND_SIM_COUNTER_NAME(name) #name,
    ASCEND_SIM_COUNTERS(ASCEND_SIM_COUNTER_NAME)
#undef ASCEND_SIM_COUNTER_NAME
};
constexpr size_t kNumber = std::size(kNames);

struct Block {
  char magic[8];
  uint64_t number;
  Entry entries[kNumber];
};

Block* MapBlock(const std::string& directory) {
  int file = -1;
  int flags = MAP_SHARED | MAP_ANONYMOUS;
  if (!directory.empty()) {
    const std::string path = directory + "/" + std::to_string(getpid()) + ".counters";
    file = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || ftruncate(file, sizeof(Block)) != 0) {
      Raise(kInvalidParam,
            "ASCEND_SIM_CONFIG: counters_dir: cannot create " + path + ": " + std::strerror(errno));
    }
    flags = MAP_SHARED;
  }
  void* memory = mmap(nullptr, sizeof(Block), PROT_READ | PROT_WRITE, flags, file, 0);
  if (file >= 0) close(file);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* block = static_cast<Block*>(memory);
  for (size_t i = 0; i < kNumber; ++i) std::strcpy(block->entries[i].name, kNames[i]);
  block->number = kNumber;
  std::memcpy(block->magic, "ASIMCNT1", sizeof block->magic);  // last: now it may be read
  return block;
}

Block& TheBlock() {
  static Block* const block = MapBlock(GetConfig().counters_dir);
  return *block;
}

struct OpCounts {
  std::mutex mutex;
  std::unordered_map<const char*, uint64_t> counts;
};

OpCounts& Ops() {
  static auto* const ops =
      new OpCounts;  // never destroyed: worker threads may outlive static objects
  return *ops;
}

}  // namespace

const Counters& Count() {
  static const Counters counters = [] {
    Entry* entry = TheBlock().entries;
#define ASCEND_SIM_COUNTER_ADDRESS(name) &(entry++)->value,
    return Counters{ASCEND_SIM_COUNTERS(ASCEND_SIM_COUNTER_ADDRESS)};
#undef ASCEND_SIM_COUNTER_ADDRESS
  }();
  return counters;
}

void CountOp(const char* name) {
  OpCounts& ops = Ops();
  const std::lock_guard lock(ops.mutex);
  ++ops.counts[name];
}

}  // namespace ascend_sim

using namespace ascend_sim;

// The block described in counters.cpp; null (and a text for aclGetRecentErrMsg) when the
// configuration is wrong.
ASCEND_SIM_ABI const void* ascendSimCounters(uint64_t* size) {
  const Block* block = nullptr;
  Abi("ascendSimCounters", [&] {
    RequirePtr(size, "size");
    Count();
    block = &TheBlock();
    *size = sizeof(Block);
  });
  return block;
}

// A JSON object: how often each operation was launched, captured launches included. Valid until the
// next call of this thread.
ASCEND_SIM_ABI const char* ascendSimOpCounts() {
  thread_local std::string text;
  Abi("ascendSimOpCounts", [&] {
    std::map<std::string, uint64_t> sorted;
    {
      OpCounts& ops = Ops();
      const std::lock_guard lock(ops.mutex);
      for (const auto& [name, count] : ops.counts) sorted[name] += count;
    }
    text = "{";
    for (const auto& [name, count] : sorted) {
      text += (text.size() > 1 ? ", \"" : "\"") + name + "\": " + std::to_string(count);
    }
    text += "}";
  });
  return text.c_str();
}
