// SPDX-License-Identifier: Apache-2.0
//
// The ledger of a machine: what each process, and each tenant outside of the simulation, holds of
// each device. Processes that were started together (`ascend-sim run`, ascend_sim.activate) share
// one through a file in memory, which the environment variable ASCEND_SIM_LEDGER names; without
// the variable a process shares with its forks only.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "acl/base/config.h"
#include "acl/base/tenant.h"
#include "acl/machine/quota.h"

namespace ascend_sim {

// One mapping of a ledger. Safe from any thread and between processes: a robust mutex in the file
// guards all of it, and is never held while anything waits. Every process has a row of its own,
// which starts with the first thing that it takes. The row of a process that has ended, in any way,
// is cleared when somebody finds too little left or asks how much there is.
class Ledger {
 public:
  // Makes a ledger in an empty file.
  static void Format(int file, const Config& config);
  // Maps the ledger in a file; fails with 100000 when it is not one, or is of another version.
  explicit Ledger(const std::string& path);
  // Makes a private one.
  explicit Ledger(const Config& config);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Fails with 100000 when this process was configured for another machine.
  void RequireSame(const Config& config) const;

  bool Take(int device, Resource resource, int64_t amount);
  int64_t TakeUpTo(int device, Resource resource, int64_t amount);
  // Gives back what this process took; more than that (claims inherited by a fork) is ignored.
  void Give(int device, Resource resource, int64_t amount);
  int64_t Available(int device, Resource resource);
  int64_t Limit(Resource resource) const;

  // What others hold, as the end of a sentence; empty when they hold nothing.
  std::string OthersText(int device, Resource resource);
  // Everything, as a JSON object.
  std::string Json();

 private:
  struct Row;
  struct Book;
  class Lock;

  void Map(int file);
  Row& OwnRow();
  void Reap();
  void AdvanceTenants();
  int64_t Used(int device, Resource resource) const;
  int64_t Free(int device, Resource resource) const;
  int64_t FreeAtLeast(int device, Resource resource, int64_t amount);

  Book* book_ = nullptr;
  std::vector<Tenant> tenants_;
  // Null until this process has one; a forked process starts without.
  std::atomic<Row*> own_{nullptr};
  static void ForgetRowAfterFork();
};

// The ledger of this process. Never destroyed. Throws Failure(kInvalidParam) each time when the
// ledger cannot be used.
Ledger& TheLedger();

}  // namespace ascend_sim
