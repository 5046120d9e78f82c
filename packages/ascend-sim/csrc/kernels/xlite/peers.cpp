// SPDX-License-Identifier: Apache-2.0
#include "kernels/xlite/peers.h"

#include <atomic>
#include <chrono>
#include <thread>

#include "ascend_sim/blocking.h"

namespace ascend_sim::kernels::xlite {
namespace {

// In the block of a rank: where its two buffers begin in its pool, and the flags.
constexpr size_t kOffsets = 0, kFlags = 4096;

std::atomic_ref<uint64_t> OffsetOf(std::byte* block, size_t which) {
  return std::atomic_ref(reinterpret_cast<uint64_t*>(block + kOffsets)[which]);
}

std::atomic_ref<uint32_t> FlagOf(std::byte* block, uint32_t point) {
  return std::atomic_ref(reinterpret_cast<uint32_t*>(block + kFlags)[point]);
}

// The numbers of calls wrap around.
bool HasCome(uint32_t flag, uint32_t generation) {
  return static_cast<int32_t>(flag - generation) >= 0;
}

// Most peers come within microseconds; yielding lets them, on few cores.
void Wait(std::atomic_ref<uint32_t> flag, uint32_t generation) {
  for (int spin = 0; spin < 64; ++spin) {
    if (HasCome(flag.load(), generation)) return;
    std::this_thread::yield();
  }
  while (!HasCome(flag.load(), generation)) {
    ThrowIfCancelled();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

}  // namespace

Peers::Peers(const PeerAddresses& addresses, uint32_t rank, uint32_t ranks, uint64_t generation,
             const void* in, const void* out)
    : addresses_(addresses),
      rank_(rank),
      ranks_(ranks),
      generation_(static_cast<uint32_t>(generation)) {
  std::byte* pool = addresses_.pools[rank];
  OffsetOf(addresses_.blocks[rank], 0) = static_cast<const std::byte*>(in) - pool;
  OffsetOf(addresses_.blocks[rank], 1) = static_cast<const std::byte*>(out) - pool;
}

void Peers::Meet(uint32_t point) const {
  FlagOf(addresses_.blocks[rank_], point) = generation_;
  for (uint32_t rank = 0; rank < ranks_; ++rank) {
    Wait(FlagOf(addresses_.blocks[rank], point), generation_);
  }
}

const void* Peers::In(uint32_t rank) const { return Buffer(rank, 0); }
void* Peers::Out(uint32_t rank) const { return Buffer(rank, 1); }

std::byte* Peers::Buffer(uint32_t rank, size_t which) const {
  return addresses_.pools[rank] + OffsetOf(addresses_.blocks[rank], which).load();
}

}  // namespace ascend_sim::kernels::xlite
