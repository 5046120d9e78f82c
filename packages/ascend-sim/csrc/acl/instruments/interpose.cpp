// SPDX-License-Identifier: Apache-2.0
#include "acl/instruments/interpose.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "abi/acl.h"
#include "acl/base/error.h"
#include "acl/instruments/fault.h"

namespace ascend_sim {
namespace {

struct Hook {
  uint64_t id;
  std::string call;  // empty: all
  HookPhase phase;
  HookFunction function;
  void* user;
};
using HookList = std::vector<Hook>;

// Replaced as a whole, so that calls can read it without a lock.
struct Hooks {
  std::mutex mutex;
  std::shared_ptr<const HookList> list = std::make_shared<HookList>();
  uint64_t next_id = 1;
};

Hooks& TheHooks() {
  static auto* const hooks = new Hooks;
  return *hooks;
}

std::shared_ptr<const HookList> CurrentHooks() {
  const std::lock_guard lock(TheHooks().mutex);
  return TheHooks().list;
}

thread_local const char* t_call = "";
thread_local bool t_in_hook = false;

struct InHook {
  InHook() { t_in_hook = true; }
  ~InHook() { t_in_hook = false; }
};

// Runs the hooks of one phase. Returns the last one's code, if there were any.
const int* RunHooks(const HookList& hooks, HookPhase phase, const char* call, int code, int* out) {
  const int* result = nullptr;
  for (const Hook& hook : hooks) {
    if (hook.phase != phase || (!hook.call.empty() && hook.call != call)) continue;
    const InHook scope;
    *out = hook.function(call, code, hook.user);
    result = out;
  }
  return result;
}

// The configuration may contain faults, and it cannot be read before the first call.
bool ConfigMayHaveFaults() {
  const char* text = std::getenv("ASCEND_SIM_CONFIG");
  return text != nullptr && std::strstr(text, "\"faults\"") != nullptr;
}

}  // namespace

std::atomic<bool> interposed{ConfigMayHaveFaults()};

int RunInterposed(const char* call, int (*run)(void*), void* body) noexcept {
  if (t_in_hook) return run(body);
  const char* const before = std::exchange(t_call, call);
  const auto hooks = CurrentHooks();
  int unused = 0;
  int instead = 0;
  RunHooks(*hooks, HookPhase::kBefore, call, kSuccess, &unused);
  const auto fault = [&] { FaultOnCall(call); };
  int code = CodeOf(call, fault);
  if (code == kSuccess) {
    const int* answer = RunHooks(*hooks, HookPhase::kInstead, call, kSuccess, &instead);
    code = answer != nullptr ? *answer : run(body);
  }
  RunHooks(*hooks, HookPhase::kAfter, call, code, &unused);
  t_call = before;
  return code;
}

void RefreshInterposed() {
  interposed.store(!CurrentHooks()->empty() || FaultsInstalled(), std::memory_order_relaxed);
}

const char* CurrentCall() { return t_call; }

uint64_t AddHook(std::string call, HookPhase phase, HookFunction function, void* user) {
  uint64_t id = 0;
  {
    const std::lock_guard lock(TheHooks().mutex);
    auto list = std::make_shared<HookList>(*TheHooks().list);
    id = TheHooks().next_id++;
    list->push_back({id, std::move(call), phase, function, user});
    TheHooks().list = std::move(list);
  }
  RefreshInterposed();
  return id;
}

void RemoveHook(uint64_t id) {
  {
    const std::lock_guard lock(TheHooks().mutex);
    auto list = std::make_shared<HookList>(*TheHooks().list);
    std::erase_if(*list, [&](const Hook& hook) { return hook.id == id; });
    TheHooks().list = std::move(list);
  }
  RefreshInterposed();
}

}  // namespace ascend_sim

using namespace ascend_sim;

// Phases: 0 before, 1 instead, 2 after. These functions are not subject to hooks.
ASCEND_SIM_ABI aclError ascendSimAddHook(const char* call, int phase, HookFunction function,
                                         void* user, uint64_t* id) {
  const auto body = [&] {
    RequirePtr(reinterpret_cast<const void*>(function), "function");
    RequirePtr(id, "id");
    Require(phase >= 0 && phase <= static_cast<int>(HookPhase::kAfter), kInvalidParam,
            "the phase must be 0 (before), 1 (instead) or 2 (after)");
    *id = AddHook(call == nullptr ? "" : call, static_cast<HookPhase>(phase), function, user);
  };
  return CodeOf("ascendSimAddHook", body);
}

ASCEND_SIM_ABI aclError ascendSimRemoveHook(uint64_t id) {
  const auto body = [&] { RemoveHook(id); };
  return CodeOf("ascendSimRemoveHook", body);
}
