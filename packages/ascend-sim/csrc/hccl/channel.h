// SPDX-License-Identifier: Apache-2.0
//
// A ring of chunks in shared memory, which one rank writes and another reads, and the bell that
// wakes a waiting rank.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "abi/hccl.h"

namespace ascend_sim::hccl {

// What a message belongs to. Both sides describe the collective that they are executing; a
// difference is a user error.
struct Message {
  enum class Op : uint16_t {
    kAllReduce,
    kAllGather,
    kReduceScatter,
    kBroadcast,
    kReduce,
    kScatter,
    kAllToAll,
    kBarrier,
    kSend,
  };

  Op op = Op::kBarrier;
  uint8_t type = 0;    // HcclDataType
  uint8_t reduce = 0;  // HcclReduceOp
  uint32_t root = 0;
  uint64_t sequence = 0;  // of the operation on its communicator; 0 for send and receive
  uint64_t count = 0;     // the element count that all ranks must pass; 0 where they differ
  uint64_t bytes = 0;     // of this message

  bool operator==(const Message&) const = default;
};

// Readable: "HcclAllReduce of 4096 x fp32 (sum), collective number 3 of its communicator".
std::string Describe(const Message& message);

// Wakes a rank. Lives in shared memory; all zeros is a valid initial state.
class Doorbell {
 public:
  void Ring();
  uint32_t Count() const { return count_.load(std::memory_order_seq_cst); }
  // Returns when Count() is no longer `seen`, or after `patience`. May return earlier.
  void Wait(uint32_t seen, std::chrono::milliseconds patience);

 private:
  std::atomic<uint32_t> count_;
  std::atomic<uint32_t> sleepers_;
};

// Lives in shared memory; all zeros is a valid initial state. One writer and one reader at a time.
class Channel {
 public:
  static constexpr size_t kChunkBytes = 256 << 10;
  static constexpr size_t kChunks = 4;

  struct alignas(64) Chunk {
    Message message;
    uint32_t bytes;  // in this chunk
  };

  // --- for the writer ---
  bool HasRoom() const {
    return written_.load() - taken_.load(std::memory_order_acquire) < kChunks;
  }
  // The place of the next chunk: fill it, then call Publish().
  std::byte* Next() { return data_[written_.load(std::memory_order_relaxed) % kChunks]; }
  void Publish(const Message& message, uint32_t bytes);
  // Whether everything published has been read.
  bool Drained() const { return written_.load() == taken_.load(std::memory_order_acquire); }

  // --- for the reader ---
  // The next chunk and its contents; null if there is none.
  const Chunk* Peek() const;
  const std::byte* Contents() const {
    return data_[taken_.load(std::memory_order_relaxed) % kChunks];
  }
  void Take() { taken_.fetch_add(1, std::memory_order_release); }

 private:
  alignas(64) std::atomic<uint64_t> written_;
  alignas(64) std::atomic<uint64_t> taken_;
  Chunk chunks_[kChunks];
  alignas(4096) std::byte data_[kChunks][kChunkBytes];
};

}  // namespace ascend_sim::hccl
