// SPDX-License-Identifier: Apache-2.0
//
// The ranks of XCCL, xlite's own collectives. Each rank maps into its process, from every other,
// the pool that tensors are in and a block of control words. They are seen at different addresses
// by different ranks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ascend_sim::kernels::xlite {

inline constexpr uint32_t kMostRanks = 32;

// What `param` of a collective holds, in device memory: addresses in this process, by rank.
struct PeerAddresses {
  std::array<std::byte*, kMostRanks> blocks;
  std::array<std::byte*, kMostRanks> pools;
};

// One call of a collective.
class Peers {
 public:
  // Tells the others where this rank's buffers are in its pool. `generation` grows with each call
  // and is the same on all ranks.
  Peers(const PeerAddresses& addresses, uint32_t rank, uint32_t ranks, uint64_t generation,
        const void* in, const void* out);

  // Waits until every rank has come here. `point` counts from 0 within a call. A device has the
  // first two, and trusts that no rank returns, and writes anew, before a slower one has read: the
  // others close a call.
  void Meet(uint32_t point) const;

  // The buffers of a rank, in this process. After Meet(0).
  const void* In(uint32_t rank) const;
  void* Out(uint32_t rank) const;

 private:
  std::byte* Buffer(uint32_t rank, size_t which) const;

  const PeerAddresses addresses_;
  const uint32_t rank_, ranks_, generation_;
};

}  // namespace ascend_sim::kernels::xlite
