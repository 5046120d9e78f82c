// SPDX-License-Identifier: Apache-2.0
#include "acl/kernels/body.h"

#include <dlfcn.h>

#include <filesystem>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "acl/observe/order.h"

namespace ascend_sim {
namespace {

struct Bodies {
  std::shared_mutex mutex;
  std::map<std::string, std::shared_ptr<const KernelBody>, std::less<>> by_name;
};

Bodies& TheBodies() {
  static auto* const bodies = new Bodies;
  return *bodies;
}

std::shared_ptr<const KernelBody> Known(std::string_view name) {
  Bodies& bodies = TheBodies();
  const std::shared_lock lock(bodies.mutex);
  const auto found = bodies.by_name.find(name);
  return found == bodies.by_name.end() ? nullptr : found->second;
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
  bodies.by_name.insert_or_assign(name, std::make_shared<const KernelBody>(std::move(body)));
  return true;
}

void NoteTouches(const char* name, Touches touches) {
  OrderObserver* order = OrderObserver::Get();
  if (order == nullptr || touches.empty()) return;
  Task task{name, TaskKind::kKernel, nullptr};
  task.touches = std::make_shared<const Touches>(std::move(touches));
  order->OnTask(task);
}

}  // namespace ascend_sim
