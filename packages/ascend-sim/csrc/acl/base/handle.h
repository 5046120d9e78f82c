// SPDX-License-Identifier: Apache-2.0
//
// Handles given to callers are tokens, never addresses, and no token is used twice: a stale,
// foreign or mistyped handle is found out instead of being dereferenced. The table shares ownership
// with whoever is using an object.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "acl/base/error.h"

namespace ascend_sim {

// All live objects of one kind. Safe from any thread.
template <class T>
class Handles {
 public:
  // `noun` names the kind in messages; `tag` (1..255) keeps the tokens of different kinds apart.
  Handles(const char* noun, uint64_t tag) : noun_(noun), tag_(tag << 40) {}

  // Reserves a token, so that an object can know its own handle before it is added.
  void* Reserve() { return reinterpret_cast<void*>(tag_ | (serial_.fetch_add(1) << 4)); }

  void Add(void* token, std::shared_ptr<T> object) {
    const std::unique_lock lock(mutex_);
    objects_.emplace(token, std::move(object));
  }

  // The object, or null when the token is not live.
  std::shared_ptr<T> Find(const void* token) const {
    const std::shared_lock lock(mutex_);
    const auto found = objects_.find(const_cast<void*>(token));
    return found == objects_.end() ? nullptr : found->second;
  }

  // The object of an argument; null and stale handles fail with CANN's two codes.
  std::shared_ptr<T> Get(const void* token) const {
    if (token == nullptr) Raise(kInvalidParam, std::string("the ") + noun_ + " handle is null");
    auto object = Find(token);
    if (!object) {
      Raise(kInvalidHandle, std::string("not a live ") + noun_ +
                                " handle: it was destroyed or belongs to another kind of object");
    }
    return object;
  }

  // Removes the object and returns it; null when another thread removed it first.
  std::shared_ptr<T> Remove(const void* token) {
    const std::unique_lock lock(mutex_);
    const auto found = objects_.find(const_cast<void*>(token));
    if (found == objects_.end()) return nullptr;
    auto object = std::move(found->second);
    objects_.erase(found);
    return object;
  }

  std::vector<std::shared_ptr<T>> All() const {
    const std::shared_lock lock(mutex_);
    std::vector<std::shared_ptr<T>> all;
    all.reserve(objects_.size());
    for (const auto& [token, object] : objects_) all.push_back(object);
    return all;
  }

 private:
  const char* noun_;
  const uint64_t tag_;
  std::atomic<uint64_t> serial_{1};
  mutable std::shared_mutex mutex_;
  std::unordered_map<void*, std::shared_ptr<T>> objects_;
};

}  // namespace ascend_sim
