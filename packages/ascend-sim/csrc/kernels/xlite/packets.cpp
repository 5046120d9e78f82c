// SPDX-License-Identifier: Apache-2.0
//
// Up to eight buffers put together, or taken apart again: concat, concat_col and split. A packet
// has a part of each buffer, one after the other; buffer i has the parts of its own of all packets.
#include <algorithm>
#include <array>
#include <cstddef>
#include <numeric>

#include "ascend_sim/kernel.h"

namespace ascend_sim::kernels::xlite {
namespace {

constexpr size_t kMostBuffers = 8;

#define EIGHT_BUFFERS(Byte) \
  Byte *b0, Byte *b1, Byte *b2, Byte *b3, Byte *b4, Byte *b5, Byte *b6, Byte *b7
#define EIGHT_SIZES                                                                          \
  uint64_t s0, uint64_t s1, uint64_t s2, uint64_t s3, uint64_t s4, uint64_t s5, uint64_t s6, \
      uint64_t s7
#define THE_BUFFERS {b0, b1, b2, b3, b4, b5, b6, b7}
#define THE_SIZES {s0, s1, s2, s3, s4, s5, s6, s7}

template <class Byte>
struct Buffers {
  std::array<Byte*, kMostBuffers> begins;
  std::array<uint64_t, kMostBuffers> part_bytes;  // in a packet
  uint32_t count, packets;

  uint64_t PacketBytes() const {
    return std::accumulate(part_bytes.begin(), part_bytes.begin() + count, uint64_t{0});
  }

  void Check(const KernelLaunch& launch, uint64_t packet_bytes) const {
    launch.Require(count <= kMostBuffers, "at most 8 buffers can be given");
    launch.Require(PacketBytes() == packet_bytes, "the total must be the sum of the sizes");
  }

  // Calls of_part(packet's number, offset in it, part of a buffer, bytes) for all.
  template <class OfPart>
  void ForEachPart(const OfPart& of_part) const {
    for (uint64_t packet = 0; packet < packets; ++packet) {
      uint64_t offset = 0;
      for (uint32_t i = 0; i < count; offset += part_bytes[i++]) {
        of_part(packet, offset, begins[i] + packet * part_bytes[i], part_bytes[i]);
      }
    }
  }
};

KernelRun Join(KernelLaunch& launch, std::byte* out, const Buffers<const std::byte>& from,
               uint64_t packet_bytes) {
  from.Check(launch, packet_bytes);
  for (uint32_t i = 0; i < from.count; ++i) {
    launch.Reads(from.begins[i], from.packets * from.part_bytes[i]);
  }
  launch.Writes(out, from.packets * packet_bytes);
  return [=] {
    from.ForEachPart([&](uint64_t packet, uint64_t offset, const std::byte* part, uint64_t bytes) {
      std::copy_n(part, bytes, out + packet * packet_bytes + offset);
    });
  };
}

// out = all of buffer 0, then all of buffer 1 and so on.
KernelRun Concat(KernelLaunch& launch, std::byte* out, EIGHT_BUFFERS(const std::byte), EIGHT_SIZES,
                 uint32_t count, uint64_t total_bytes) {
  return Join(launch, out, {THE_BUFFERS, THE_SIZES, count, 1}, total_bytes);
}

// out [packets, packet_bytes] = the rows of the buffers side by side.
KernelRun ConcatColumns(KernelLaunch& launch, std::byte* out, EIGHT_BUFFERS(const std::byte),
                        EIGHT_SIZES, uint32_t count, uint32_t packets, uint64_t packet_bytes) {
  return Join(launch, out, {THE_BUFFERS, THE_SIZES, count, packets}, packet_bytes);
}

// The other way round.
KernelRun Split(KernelLaunch& launch, const std::byte* in, EIGHT_BUFFERS(std::byte), EIGHT_SIZES,
                uint32_t count, uint32_t packets, uint64_t packet_bytes) {
  const Buffers<std::byte> to{THE_BUFFERS, THE_SIZES, count, packets};
  to.Check(launch, packet_bytes);
  launch.Reads(in, packets * packet_bytes);
  for (uint32_t i = 0; i < count; ++i) launch.Writes(to.begins[i], packets * to.part_bytes[i]);
  return [=] {
    to.ForEachPart([&](uint64_t packet, uint64_t offset, std::byte* part, uint64_t bytes) {
      std::copy_n(in + packet * packet_bytes + offset, bytes, part);
    });
  };
}

#undef EIGHT_BUFFERS
#undef EIGHT_SIZES
#undef THE_BUFFERS
#undef THE_SIZES

}  // namespace

ASCEND_SIM_KERNEL(concat, Concat);
ASCEND_SIM_KERNEL(concat_col, ConcatColumns);
ASCEND_SIM_KERNEL(split, Split);

}  // namespace ascend_sim::kernels::xlite
