// SPDX-License-Identifier: Apache-2.0
#include "hccl/channel.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <thread>

#include "hccl/data_type.h"

namespace ascend_sim::hccl {
namespace {

const char* OpName(Message::Op op) {
  switch (op) {
    case Message::Op::kAllReduce:
      return "HcclAllReduce";
    case Message::Op::kAllGather:
      return "HcclAllGather";
    case Message::Op::kReduceScatter:
      return "HcclReduceScatter";
    case Message::Op::kBroadcast:
      return "HcclBroadcast";
    case Message::Op::kReduce:
      return "HcclReduce";
    case Message::Op::kScatter:
      return "HcclScatter";
    case Message::Op::kAllToAll:
      return "HcclAlltoAll";
    case Message::Op::kBarrier:
      return "HcclBarrier";
    case Message::Op::kSend:
      return "HcclSend/HcclRecv";
  }
  return "an unknown operation";
}

bool Reduces(Message::Op op) {
  return op == Message::Op::kAllReduce || op == Message::Op::kReduceScatter ||
         op == Message::Op::kReduce;
}

bool HasRoot(Message::Op op) {
  return op == Message::Op::kBroadcast || op == Message::Op::kReduce || op == Message::Op::kScatter;
}

long Futex(std::atomic<uint32_t>* word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(word), operation, value, timeout, nullptr,
                 0);
}

}  // namespace

std::string Describe(const Message& message) {
  std::string text = OpName(message.op);
  if (message.op != Message::Op::kBarrier) {
    const char* type = TypeName(static_cast<abi::HcclDataType>(message.type));
    text += message.count > 0 ? " of " + std::to_string(message.count) + " x " + type
                              : " with " + std::to_string(message.bytes) + " bytes of " + type;
  }
  if (Reduces(message.op)) {
    text += std::string(" (") + ReduceName(static_cast<abi::HcclReduceOp>(message.reduce)) + ")";
  }
  if (HasRoot(message.op)) text += " with root " + std::to_string(message.root);
  if (message.sequence > 0) {
    text += ", collective number " + std::to_string(message.sequence) + " of its communicator";
  }
  return text;
}

void Doorbell::Ring() {
  count_.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) Futex(&count_, FUTEX_WAKE, INT_MAX, nullptr);
}

void Doorbell::Wait(uint32_t seen, std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  // A wake-up takes longer than most messages. Yields, so that the other rank can run if there are
  // few cores.
  const auto awake_until = Clock::now() + std::chrono::microseconds(20);
  do {
    for (int i = 0; i < 32; ++i) {
      if (Count() != seen) return;
    }
    std::this_thread::yield();
  } while (Clock::now() < awake_until);
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  const timespec timeout{patience.count() / 1000, patience.count() % 1000 * 1000000};
  Futex(&count_, FUTEX_WAIT, seen, &timeout);  // returns at once if the bell has rung since
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

void Channel::Publish(const Message& message, uint32_t bytes) {
  const uint64_t number = written_.load(std::memory_order_relaxed);
  chunks_[number % kChunks].message = message;
  chunks_[number % kChunks].bytes = bytes;
  written_.store(number + 1, std::memory_order_release);
}

const Channel::Chunk* Channel::Peek() const {
  const uint64_t number = taken_.load(std::memory_order_relaxed);
  return written_.load(std::memory_order_acquire) == number ? nullptr : &chunks_[number % kChunks];
}

}  // namespace ascend_sim::hccl
