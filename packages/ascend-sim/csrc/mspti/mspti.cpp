// SPDX-License-Identifier: Apache-2.0
//
// libmspti: the records that torch.profiler collects on an NPU. Kernels are recorded as they ran
// here; other kinds of activity can be enabled and have no records.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <vector>

#include "abi/acl.h"
#include "ascend_sim/observe.h"

namespace {

enum Result : int {
  kSuccess = 0,
  kInvalidParameter = 1,
  kMultipleSubscribers = 2,
  kMaxLimitReached = 3,
  kQueueEmpty = 5,
};

enum Kind : uint32_t { kKernel = 2 };

struct [[gnu::packed, gnu::aligned(8)]] KernelRecord {
  uint32_t kind;
  uint64_t start;
  uint64_t end;
  uint32_t device;
  uint32_t stream;
  uint64_t correlation;
  const char* type;
  const char* name;
};
static_assert(sizeof(KernelRecord) == 56 && offsetof(KernelRecord, name) == 44);

using RequestBuffer = void (*)(uint8_t** buffer, size_t* size, size_t* most_records);
using CompleteBuffer = void (*)(uint8_t* buffer, size_t size, size_t valid);

struct Profile {
  std::mutex mutex;
  std::set<uint32_t> enabled;
  std::deque<KernelRecord> records;  // not delivered yet
  uint64_t last_correlation = 0;
  RequestBuffer request = nullptr;
  CompleteBuffer complete = nullptr;
  bool subscribed = false;
};

Profile& TheProfile() {
  static auto* const profile = new Profile;
  return *profile;
}

void Note(const ascend_sim::TaskRun& run) noexcept {
  if (run.kind != ascend_sim::TaskKind::kKernel) return;
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  profile.records.push_back({kKernel, static_cast<uint64_t>(run.begin),
                             static_cast<uint64_t>(run.end), static_cast<uint32_t>(run.device),
                             static_cast<uint32_t>(run.stream), ++profile.last_correlation,
                             "KERNEL", run.name});
}

// Moves records into the caller's buffer; how many bytes.
size_t Fill(uint8_t* buffer, size_t room) {
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  auto* at = reinterpret_cast<KernelRecord*>(buffer);
  size_t bytes = 0;
  for (; !profile.records.empty() && bytes + sizeof(KernelRecord) <= room;
       bytes += sizeof(KernelRecord)) {
    *at++ = profile.records.front();
    profile.records.pop_front();
  }
  return bytes;
}

std::vector<uint64_t>& Correlations(uint32_t kind) {
  thread_local std::vector<std::vector<uint64_t>> stacks;
  if (kind >= stacks.size()) stacks.resize(kind + 1);
  return stacks[kind];
}

constexpr uint32_t kCorrelationKinds = 5;

}  // namespace

ASCEND_SIM_ABI int msptiSubscribe(void** subscriber, void*, void*) {
  if (subscriber == nullptr) return kInvalidParameter;
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  if (profile.subscribed) return kMultipleSubscribers;
  profile.subscribed = true;
  *subscriber = &profile;
  return kSuccess;
}

ASCEND_SIM_ABI int msptiUnsubscribe(void* subscriber) {
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  if (subscriber != &profile || !profile.subscribed) return kInvalidParameter;
  profile.subscribed = false;
  return kSuccess;
}

ASCEND_SIM_ABI int msptiActivityRegisterCallbacks(RequestBuffer request, CompleteBuffer complete) {
  if (request == nullptr || complete == nullptr) return kInvalidParameter;
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  profile.request = request;
  profile.complete = complete;
  return kSuccess;
}

ASCEND_SIM_ABI int msptiActivityEnable(uint32_t kind) {
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  profile.enabled.insert(kind);
  if (kind == kKernel) ascend_sim::ObserveTasks(Note);
  return kSuccess;
}

ASCEND_SIM_ABI int msptiActivityDisable(uint32_t kind) {
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  profile.enabled.erase(kind);
  if (kind == kKernel) ascend_sim::ObserveTasks(nullptr);
  return kSuccess;
}

ASCEND_SIM_ABI bool msptiActivityIsEnabled(uint32_t kind) {
  Profile& profile = TheProfile();
  const std::lock_guard lock(profile.mutex);
  return profile.enabled.contains(kind);
}

ASCEND_SIM_ABI int msptiActivityFlushAll(uint32_t) {
  Profile& profile = TheProfile();
  for (;;) {
    RequestBuffer request = nullptr;
    CompleteBuffer complete = nullptr;
    {
      const std::lock_guard lock(profile.mutex);
      if (profile.records.empty() || profile.request == nullptr) return kSuccess;
      request = profile.request;
      complete = profile.complete;
    }
    uint8_t* buffer = nullptr;
    size_t size = 0, most_records = 0;
    request(&buffer, &size, &most_records);
    if (buffer == nullptr) return kInvalidParameter;
    const size_t bytes = Fill(buffer, size);
    complete(buffer, size, bytes);
    if (bytes == 0) return kInvalidParameter;  // a buffer without room
  }
}

// The record after `*record` in a buffer, or its first.
ASCEND_SIM_ABI int msptiActivityGetNextRecord(uint8_t* buffer, size_t valid, uint8_t** record) {
  if (buffer == nullptr || record == nullptr) return kInvalidParameter;
  uint8_t* const next = *record == nullptr ? buffer : *record + sizeof(KernelRecord);
  const bool is_there = next + sizeof(KernelRecord) <= buffer + valid;
  *record = is_there ? next : nullptr;
  return is_there ? kSuccess : kMaxLimitReached;
}

ASCEND_SIM_ABI int msptiActivityPushExternalCorrelationId(uint32_t kind, uint64_t id) {
  if (kind >= kCorrelationKinds) return kInvalidParameter;
  Correlations(kind).push_back(id);
  return kSuccess;
}

ASCEND_SIM_ABI int msptiActivityPopExternalCorrelationId(uint32_t kind, uint64_t* last) {
  if (kind >= kCorrelationKinds) return kInvalidParameter;
  std::vector<uint64_t>& stack = Correlations(kind);
  if (stack.empty()) return kQueueEmpty;
  if (last != nullptr) *last = stack.back();
  stack.pop_back();
  return kSuccess;
}
