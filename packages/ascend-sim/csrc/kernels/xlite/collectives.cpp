// SPDX-License-Identifier: Apache-2.0
//
// XCCL: allreduce, allgather and reduce_scatter over memory that the ranks share. Sums are in the
// dtype of the elements, in the order of ranks; a device does not say in which.
//
// Every call ends with a meeting after the last read of a peer's memory, which a device leaves out:
// between processes of a host a peer may be late by any time.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "ascend_sim/kernel.h"
#include "kernels/xlite/peers.h"
#include "kernels/xlite/rows.h"

namespace ascend_sim::kernels::xlite {
namespace {

#define COLLECTIVE_ARGUMENTS                                                               \
  const T *in, T *out, uint64_t count, uint32_t rank, uint32_t ranks, uint64_t generation, \
      const PeerAddresses *addresses, uint32_t /*copy size*/, bool /*offsets differ*/

// Part of [0, count) that one rank sums.
struct Range {
  uint64_t begin, end;
  uint64_t size() const { return end - begin; }
};

Range PartOf(uint64_t count, uint32_t rank, uint32_t ranks) {
  const uint64_t each = (count + ranks - 1) / ranks;
  const uint64_t begin = std::min(count, rank * each);
  return {begin, std::min(count, begin + each)};
}

template <class T>
T Sum(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using Unsigned = std::make_unsigned_t<T>;  // wraps around
    return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
  } else {
    return static_cast<T>(static_cast<float>(a) + static_cast<float>(b));
  }
}

// The sum over ranks of part of their inputs.
template <class T>
std::vector<T> SumOf(const Peers& peers, uint32_t ranks, Range part) {
  const auto input = [&](uint32_t rank) {
    return static_cast<const T*>(peers.In(rank)) + part.begin;
  };
  std::vector<T> sums(input(0), input(0) + part.size());
  for (uint32_t rank = 1; rank < ranks; ++rank) {
    std::transform(sums.begin(), sums.end(), input(rank), sums.begin(), Sum<T>);
  }
  return sums;
}

void Check(KernelLaunch& launch, const PeerAddresses* addresses, uint32_t rank, uint32_t ranks) {
  launch.Require(ranks <= kMostRanks && rank < ranks,
                 "rankId must be below rankSize, which is at most 32");
  launch.Reads(addresses, 1);
  launch.WaitsForPeers();
}

// out = the sum of all `in`, both of `count` elements: each rank sums a part, then all copy the
// others' parts.
template <class T>
KernelRun AllReduce(KernelLaunch& launch, COLLECTIVE_ARGUMENTS) {
  Check(launch, addresses, rank, ranks);
  launch.Reads(in, count);
  launch.Writes(out, count);
  return [=] {
    const Peers peers(*addresses, rank, ranks, generation, in, out);
    peers.Meet(0);
    const auto mine = PartOf(count, rank, ranks);
    const auto sums = SumOf<T>(peers, ranks, mine);
    peers.Meet(1);  // all inputs are read: outputs may lie over them
    std::copy(sums.begin(), sums.end(), out + mine.begin);
    peers.Meet(2);
    for (uint32_t peer = 0; peer < ranks; ++peer) {
      if (peer == rank) continue;
      const auto part = PartOf(count, peer, ranks);
      std::copy_n(static_cast<const T*>(peers.Out(peer)) + part.begin, part.size(),
                  out + part.begin);
    }
    peers.Meet(3);
  };
}

// out [ranks, count] = `in` of each rank, which may be its own part of `out`.
template <class T>
KernelRun AllGather(KernelLaunch& launch, COLLECTIVE_ARGUMENTS) {
  Check(launch, addresses, rank, ranks);
  launch.Reads(in, count);
  launch.Writes(out, ranks * count);
  return [=] {
    const Peers peers(*addresses, rank, ranks, generation, in, out);
    peers.Meet(0);
    for (uint32_t peer = 0; peer < ranks; ++peer) {
      const auto* from = static_cast<const T*>(peers.In(peer));
      T* to = out + peer * count;
      if (from != to) std::copy_n(from, count, to);
    }
    peers.Meet(1);
  };
}

// out = this rank's part of the sum of all `in`, which have `count` elements.
template <class T>
KernelRun ReduceScatter(KernelLaunch& launch, COLLECTIVE_ARGUMENTS) {
  Check(launch, addresses, rank, ranks);
  launch.Require(count % ranks == 0, "count must be a multiple of rankSize");
  launch.Reads(in, count);
  launch.Writes(out, count / ranks);
  return [=] {
    const Peers peers(*addresses, rank, ranks, generation, in, out);
    peers.Meet(0);
    const auto sums = SumOf<T>(peers, ranks, PartOf(count, rank, ranks));
    peers.Meet(1);
    std::copy(sums.begin(), sums.end(), out);
  };
}

#undef COLLECTIVE_ARGUMENTS

}  // namespace

#define XCCL(type, T)                                \
  ASCEND_SIM_KERNEL(allreduce_##type, AllReduce<T>); \
  ASCEND_SIM_KERNEL(allgather_##type, AllGather<T>); \
  ASCEND_SIM_KERNEL(reduce_scatter_##type, ReduceScatter<T>)

XCCL(bfloat16_t, BFloat16);
XCCL(float16_t, Half);
XCCL(float, float);
XCCL(int32_t, int32_t);
XCCL(int16_t, int16_t);
XCCL(int8_t, int8_t);

#undef XCCL

}  // namespace ascend_sim::kernels::xlite
