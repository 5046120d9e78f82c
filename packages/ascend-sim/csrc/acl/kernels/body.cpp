// SPDX-License-Identifier: Apache-2.0
#include "acl/kernels/body.h"

#include <dlfcn.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

#include "acl/observe/order.h"
#include "ascend_sim/memory.h"

namespace ascend_sim {
namespace {

using ByName = std::map<std::string, std::shared_ptr<const KernelBody>, std::less<>>;

struct Bodies {
  std::shared_mutex mutex;
  ByName of_program;  // go first
  ByName of_libraries;
};

Bodies& TheBodies() {
  static auto* const bodies = new Bodies;
  return *bodies;
}

std::shared_ptr<const KernelBody> Known(std::string_view name) {
  Bodies& bodies = TheBodies();
  const std::shared_lock lock(bodies.mutex);
  for (const ByName* each : {&bodies.of_program, &bodies.of_libraries}) {
    if (const auto found = each->find(name); found != each->end()) return found->second;
  }
  return nullptr;
}

// libascend_sim_kernels.so stands on libtorch, which takes a moment to load: only a program that
// launches kernels of its own needs it. Its static objects register the bodies.
std::string LoadBodies() {
  Dl_info self{};
  if (dladdr(reinterpret_cast<const void*>(&LoadBodies), &self) == 0) return "dladdr failed";
  const auto folder = std::filesystem::path(self.dli_fname).parent_path().parent_path();
  const auto path = folder / "kernels" / "libascend_sim_kernels.so";
  return dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr ? "" : dlerror();
}

}  // namespace

const std::string& WhyNoBodies() {
  static const auto* const why = new std::string(LoadBodies());
  return *why;
}

std::shared_ptr<const KernelBody> FindBody(std::string_view name) {
  if (auto body = Known(name)) return body;
  WhyNoBodies();
  return Known(name);
}

bool RegisterKernel(const char* name, KernelBody body) {
  Bodies& bodies = TheBodies();
  const std::unique_lock lock(bodies.mutex);
  bodies.of_libraries.emplace(name, std::make_shared<const KernelBody>(std::move(body)));
  return true;
}

void SetBodyOfProgram(const std::string& name, KernelBody body) {
  Bodies& bodies = TheBodies();
  const std::unique_lock lock(bodies.mutex);
  bodies.of_program.insert_or_assign(name, std::make_shared<const KernelBody>(std::move(body)));
}

void RequireReach(const char* name, const Touches& touches) {
  for (const Touch& touch : touches) {
    if (DeviceCanReach(touch.begin, touch.bytes)) continue;
    char address[32];
    std::snprintf(address, sizeof address, "%p", touch.begin);
    throw std::runtime_error(
        std::string(name) + (touch.write ? " writes " : " reads ") + std::to_string(touch.bytes) +
        " bytes at " + address +
        ", which are neither live device memory nor pinned memory of the host");
  }
}

void NoteTouches(const char* name, Touches touches) {
  RequireReach(name, touches);
  OrderObserver* order = OrderObserver::Get();
  if (order == nullptr || touches.empty()) return;
  Task task{name, TaskKind::kKernel, nullptr};
  task.touches = std::make_shared<const Touches>(std::move(touches));
  order->OnTask(task);
}

}  // namespace ascend_sim
