// SPDX-License-Identifier: Apache-2.0
//
// The collectives. Each checks its arguments when it is called, and moves data when its task runs.
// Arrays of counts are copied during the call.
#include <algorithm>
#include <cstring>
#include <vector>

#include "abi/acl.h"
#include "hccl/communicator.h"
#include "hccl/data_type.h"
#include "hccl/error.h"

namespace ascend_sim::hccl {
namespace {

using Op = Message::Op;
using Until = Exchange::Until;

// A part of a buffer, in bytes.
struct Span {
  size_t offset = 0;
  size_t bytes = 0;
};

std::byte* Bytes(void* buffer) { return static_cast<std::byte*>(buffer); }
const std::byte* Bytes(const void* buffer) { return static_cast<const std::byte*>(buffer); }

Message About(Op op, abi::HcclDataType type, uint64_t count, uint32_t root = 0) {
  Message message;
  message.op = op;
  message.type = static_cast<uint8_t>(type);
  message.root = root;
  message.count = count;
  return message;
}

Message About(Op op, abi::HcclDataType type, abi::HcclReduceOp reduce, uint64_t count,
              uint32_t root = 0) {
  RequireReducible(type, reduce);
  Message message = About(op, type, count, root);
  message.reduce = static_cast<uint8_t>(reduce);
  return message;
}

// Copies the part that a rank sends to itself.
void CopyOwn(void* to, const void* from, size_t bytes) {
  if (to != from && bytes > 0) std::memmove(to, from, bytes);
}

// Equal parts for all ranks.
std::vector<Span> Parts(uint32_t ranks, size_t bytes) {
  std::vector<Span> parts;
  for (uint32_t rank = 0; rank < ranks; ++rank) parts.push_back({rank * bytes, bytes});
  return parts;
}

// Parts by counts and displacements in elements; without displacements, one after another.
std::vector<Span> Parts(uint32_t ranks, const void* counts, const void* displacements,
                        size_t element) {
  std::vector<Span> parts;
  size_t next = 0;
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    const size_t bytes = static_cast<const uint64_t*>(counts)[rank] * element;
    const size_t offset = displacements == nullptr
                              ? next
                              : static_cast<const uint64_t*>(displacements)[rank] * element;
    parts.push_back({offset, bytes});
    next += bytes;
  }
  return parts;
}

// Splits `elements` into one block per rank. All but the last are multiples of a cache line.
std::vector<Span> Blocks(uint32_t ranks, uint64_t elements, size_t element) {
  constexpr uint64_t kLine = 64;
  const uint64_t each = ((elements + ranks - 1) / ranks + kLine - 1) / kLine * kLine;
  std::vector<Span> blocks;
  for (uint64_t rank = 0; rank < ranks; ++rank) {
    const uint64_t first = std::min(rank * each, elements);
    const uint64_t last = std::min(first + each, elements);
    blocks.push_back({first * element, (last - first) * element});
  }
  return blocks;
}

// Sends every other rank its part of `from`.
void SendParts(Exchange& exchange, uint32_t rank, const void* from,
               const std::vector<Span>& parts) {
  for (uint32_t peer = 0; peer < parts.size(); ++peer) {
    if (peer != rank) exchange.Send(peer, Bytes(from) + parts[peer].offset, parts[peer].bytes);
  }
}

// Receives a part of `to` from every other rank.
void ReceiveParts(Exchange& exchange, uint32_t rank, void* to, const std::vector<Span>& parts) {
  for (uint32_t peer = 0; peer < parts.size(); ++peer) {
    if (peer != rank) exchange.Receive(peer, Bytes(to) + parts[peer].offset, parts[peer].bytes);
  }
}

void AllGather(HcclComm comm, void* stream, const char* name, const void* send, size_t send_bytes,
               void* recv, std::vector<Span> parts, const Message& message) {
  const auto communicator = CommunicatorArg(comm);
  const uint32_t rank = communicator->Rank();
  Require(parts[rank].bytes == send_bytes, abi::kHcclPara,
          "recvCounts of this rank is not its sendCount");
  communicator->Launch(stream, name, message, [=, parts = std::move(parts)](Exchange& exchange) {
    CopyOwn(Bytes(recv) + parts[rank].offset, send, send_bytes);
    for (uint32_t peer = 0; peer < parts.size(); ++peer) {
      if (peer != rank) exchange.Send(peer, Bytes(send), send_bytes);
    }
    ReceiveParts(exchange, rank, recv, parts);
    exchange.Run(Until::kTaken);
  });
}

void ReduceScatter(HcclComm comm, void* stream, const char* name, const void* send,
                   std::vector<Span> parts, void* recv, uint64_t recv_count, const Message& message,
                   size_t element) {
  const auto communicator = CommunicatorArg(comm);
  const uint32_t rank = communicator->Rank();
  Require(parts[rank].bytes == recv_count * element, abi::kHcclPara,
          "sendCounts of this rank is not its recvCount");
  communicator->Launch(stream, name, message, [=, parts = std::move(parts)](Exchange& exchange) {
    SendParts(exchange, rank, send, parts);
    exchange.ReceiveReduced(Bytes(send) + parts[rank].offset, Bytes(recv), recv_count);
    exchange.Run(Until::kTaken);
  });
}

void AllToAll(HcclComm comm, void* stream, const char* name, const void* send,
              std::vector<Span> sends, const void* recv, std::vector<Span> receives,
              const Message& message) {
  const auto communicator = CommunicatorArg(comm);
  const uint32_t rank = communicator->Rank();
  Require(sends[rank].bytes == receives[rank].bytes, abi::kHcclPara,
          "the part that this rank sends to itself differs from the part that it receives");
  void* const to = const_cast<void*>(recv);  // the ABI says const of a buffer that is written
  communicator->Launch(stream, name, message, [=](Exchange& exchange) {
    CopyOwn(Bytes(to) + receives[rank].offset, Bytes(send) + sends[rank].offset, sends[rank].bytes);
    SendParts(exchange, rank, send, sends);
    ReceiveParts(exchange, rank, to, receives);
    exchange.Run(Until::kTaken);
  });
}

}  // namespace

// Every rank reduces one block and sends it to the others.
ASCEND_SIM_ABI int HcclAllReduce(void* send, void* recv, uint64_t count, abi::HcclDataType type,
                                 abi::HcclReduceOp op, HcclComm comm, void* stream) {
  return Call("HcclAllReduce", [&] {
    const auto communicator = CommunicatorArg(comm);
    const Message message = About(Op::kAllReduce, type, op, count);
    if (count == 0) return;
    RequirePtr(send, "sendBuf");
    RequirePtr(recv, "recvBuf");
    const uint32_t rank = communicator->Rank(), ranks = communicator->Ranks();
    const size_t element = TypeBytes(type);
    communicator->Launch(
        stream, "HcclAllReduce", message,
        [=, blocks = Blocks(ranks, count, element)](Exchange& exchange) {
          const Span own = blocks[rank];
          if (ranks == 1) return CopyOwn(recv, send, own.bytes);
          for (uint32_t peer = 0; peer < ranks; ++peer) {
            if (peer == rank || blocks[peer].bytes == 0) continue;
            exchange.Send(peer, Bytes(send) + blocks[peer].offset, blocks[peer].bytes);
          }
          if (own.bytes > 0) {
            exchange.ReceiveReduced(Bytes(send) + own.offset, Bytes(recv) + own.offset,
                                    own.bytes / element);
          }
          exchange.Run(Until::kMoved);
          for (uint32_t peer = 0; peer < ranks; ++peer) {
            if (peer == rank) continue;
            if (own.bytes > 0) exchange.Send(peer, Bytes(recv) + own.offset, own.bytes);
            if (blocks[peer].bytes == 0) continue;
            exchange.Receive(peer, Bytes(recv) + blocks[peer].offset, blocks[peer].bytes);
          }
          exchange.Run(Until::kTaken);
        });
  });
}

ASCEND_SIM_ABI int HcclReduce(void* send, void* recv, uint64_t count, abi::HcclDataType type,
                              abi::HcclReduceOp op, uint32_t root, HcclComm comm, void* stream) {
  return Call("HcclReduce", [&] {
    const auto communicator = CommunicatorArg(comm);
    communicator->RequireRank(root, "root");
    const Message message = About(Op::kReduce, type, op, count, root);
    if (count == 0) return;
    const uint32_t rank = communicator->Rank(), ranks = communicator->Ranks();
    RequirePtr(send, "sendBuf");
    if (rank == root) RequirePtr(recv, "recvBuf");
    const size_t bytes = count * TypeBytes(type);
    communicator->Launch(stream, "HcclReduce", message, [=](Exchange& exchange) {
      if (ranks == 1) return CopyOwn(recv, send, bytes);
      if (rank == root) {
        exchange.ReceiveReduced(Bytes(send), Bytes(recv), count);
      } else {
        exchange.Send(root, Bytes(send), bytes);
      }
      exchange.Run(Until::kTaken);
    });
  });
}

ASCEND_SIM_ABI int HcclReduceScatter(void* send, void* recv, uint64_t recv_count,
                                     abi::HcclDataType type, abi::HcclReduceOp op, HcclComm comm,
                                     void* stream) {
  return Call("HcclReduceScatter", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    const Message message = About(Op::kReduceScatter, type, op, recv_count);
    if (recv_count == 0) return;
    RequirePtr(send, "sendBuf");
    RequirePtr(recv, "recvBuf");
    const size_t element = TypeBytes(type);
    ReduceScatter(comm, stream, "HcclReduceScatter", send, Parts(ranks, recv_count * element), recv,
                  recv_count, message, element);
  });
}

ASCEND_SIM_ABI int HcclReduceScatterV(void* send, const void* counts, const void* displacements,
                                      void* recv, uint64_t recv_count, abi::HcclDataType type,
                                      abi::HcclReduceOp op, HcclComm comm, void* stream) {
  return Call("HcclReduceScatterV", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    const Message message = About(Op::kReduceScatter, type, op, 0);
    RequirePtr(counts, "sendCounts");
    RequirePtr(displacements, "sendDispls");
    const size_t element = TypeBytes(type);
    ReduceScatter(comm, stream, "HcclReduceScatterV", send,
                  Parts(ranks, counts, displacements, element), recv, recv_count, message, element);
  });
}

ASCEND_SIM_ABI int HcclAllGather(void* send, void* recv, uint64_t send_count,
                                 abi::HcclDataType type, HcclComm comm, void* stream) {
  return Call("HcclAllGather", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    const size_t bytes = send_count * TypeBytes(type);
    if (bytes == 0) return;
    RequirePtr(send, "sendBuf");
    RequirePtr(recv, "recvBuf");
    AllGather(comm, stream, "HcclAllGather", send, bytes, recv, Parts(ranks, bytes),
              About(Op::kAllGather, type, send_count));
  });
}

ASCEND_SIM_ABI int HcclAllGatherV(void* send, uint64_t send_count, void* recv, const void* counts,
                                  const void* displacements, abi::HcclDataType type, HcclComm comm,
                                  void* stream) {
  return Call("HcclAllGatherV", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    RequirePtr(recv, "recvBuf");
    RequirePtr(counts, "recvCounts");
    RequirePtr(displacements, "recvDispls");
    const size_t element = TypeBytes(type);
    AllGather(comm, stream, "HcclAllGatherV", send, send_count * element, recv,
              Parts(ranks, counts, displacements, element), About(Op::kAllGather, type, 0));
  });
}

ASCEND_SIM_ABI int HcclBroadcast(void* buffer, uint64_t count, abi::HcclDataType type,
                                 uint32_t root, HcclComm comm, void* stream) {
  return Call("HcclBroadcast", [&] {
    const auto communicator = CommunicatorArg(comm);
    communicator->RequireRank(root, "root");
    const size_t bytes = count * TypeBytes(type);
    if (bytes == 0) return;
    RequirePtr(buffer, "buf");
    const uint32_t rank = communicator->Rank(), ranks = communicator->Ranks();
    communicator->Launch(
        stream, "HcclBroadcast", About(Op::kBroadcast, type, count, root), [=](Exchange& exchange) {
          if (rank == root) {
            SendParts(exchange, rank, buffer, std::vector<Span>(ranks, Span{0, bytes}));
          } else {
            exchange.Receive(root, Bytes(buffer), bytes);
          }
          exchange.Run(Until::kTaken);
        });
  });
}

ASCEND_SIM_ABI int HcclScatter(void* send, void* recv, uint64_t recv_count, abi::HcclDataType type,
                               uint32_t root, HcclComm comm, void* stream) {
  return Call("HcclScatter", [&] {
    const auto communicator = CommunicatorArg(comm);
    communicator->RequireRank(root, "root");
    const size_t bytes = recv_count * TypeBytes(type);
    if (bytes == 0) return;
    const uint32_t rank = communicator->Rank(), ranks = communicator->Ranks();
    if (rank == root) RequirePtr(send, "sendBuf");
    RequirePtr(recv, "recvBuf");
    communicator->Launch(stream, "HcclScatter", About(Op::kScatter, type, recv_count, root),
                         [=](Exchange& exchange) {
                           if (rank == root) {
                             CopyOwn(recv, Bytes(send) + rank * bytes, bytes);
                             SendParts(exchange, rank, send, Parts(ranks, bytes));
                           } else {
                             exchange.Receive(root, Bytes(recv), bytes);
                           }
                           exchange.Run(Until::kTaken);
                         });
  });
}

ASCEND_SIM_ABI int HcclAlltoAll(const void* send, uint64_t send_count, abi::HcclDataType send_type,
                                const void* recv, uint64_t recv_count, abi::HcclDataType recv_type,
                                HcclComm comm, void* stream) {
  return Call("HcclAlltoAll", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    Require(send_type == recv_type, abi::kHcclPara, "sendType and recvType differ");
    Require(send_count == recv_count, abi::kHcclPara, "sendCount and recvCount differ");
    const size_t bytes = send_count * TypeBytes(send_type);
    if (bytes == 0) return;
    RequirePtr(send, "sendBuf");
    RequirePtr(recv, "recvBuf");
    AllToAll(comm, stream, "HcclAlltoAll", send, Parts(ranks, bytes), recv, Parts(ranks, bytes),
             About(Op::kAllToAll, send_type, send_count));
  });
}

ASCEND_SIM_ABI int HcclAlltoAllV(const void* send, const void* send_counts,
                                 const void* send_displacements, abi::HcclDataType send_type,
                                 const void* recv, const void* recv_counts,
                                 const void* recv_displacements, abi::HcclDataType recv_type,
                                 HcclComm comm, void* stream) {
  return Call("HcclAlltoAllV", [&] {
    const uint32_t ranks = CommunicatorArg(comm)->Ranks();
    Require(send_type == recv_type, abi::kHcclPara, "sendType and recvType differ");
    RequirePtr(send_counts, "sendCounts");
    RequirePtr(send_displacements, "sdispls");
    RequirePtr(recv_counts, "recvCounts");
    RequirePtr(recv_displacements, "rdispls");
    const size_t element = TypeBytes(send_type);
    AllToAll(comm, stream, "HcclAlltoAllV", send,
             Parts(ranks, send_counts, send_displacements, element), recv,
             Parts(ranks, recv_counts, recv_displacements, element),
             About(Op::kAllToAll, send_type, 0));
  });
}

// Row i of the matrix has the counts that rank i sends to each rank. Buffers have no gaps.
ASCEND_SIM_ABI int HcclAlltoAllVC(const void* send, const void* matrix, abi::HcclDataType send_type,
                                  const void* recv, abi::HcclDataType recv_type, HcclComm comm,
                                  void* stream) {
  return Call("HcclAlltoAllVC", [&] {
    const auto communicator = CommunicatorArg(comm);
    const uint32_t rank = communicator->Rank(), ranks = communicator->Ranks();
    Require(send_type == recv_type, abi::kHcclPara, "sendType and recvType differ");
    RequirePtr(matrix, "sendCountMatrix");
    const size_t element = TypeBytes(send_type);
    const auto* counts = static_cast<const uint64_t*>(matrix);
    std::vector<uint64_t> column;
    for (uint32_t peer = 0; peer < ranks; ++peer) column.push_back(counts[peer * ranks + rank]);
    AllToAll(comm, stream, "HcclAlltoAllVC", send,
             Parts(ranks, counts + rank * ranks, nullptr, element), recv,
             Parts(ranks, column.data(), nullptr, element), About(Op::kAllToAll, send_type, 0));
  });
}

ASCEND_SIM_ABI int HcclBarrier(HcclComm comm, void* stream) {
  return Call("HcclBarrier", [&] {
    const auto communicator = CommunicatorArg(comm);
    const uint32_t rank = communicator->Rank();
    const std::vector<Span> nothing(communicator->Ranks());
    Message message;
    message.op = Op::kBarrier;
    communicator->Launch(stream, "HcclBarrier", message, [=](Exchange& exchange) {
      SendParts(exchange, rank, nullptr, nothing);
      ReceiveParts(exchange, rank, nullptr, nothing);
      exchange.Run(Until::kTaken);
    });
  });
}

}  // namespace ascend_sim::hccl
