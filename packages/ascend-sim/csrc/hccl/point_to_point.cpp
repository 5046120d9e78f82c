// SPDX-License-Identifier: Apache-2.0
#include "hccl/point_to_point.h"

#include <cstring>
#include <deque>
#include <memory>
#include <utility>
#include <vector>

#include "abi/acl.h"
#include "hccl/communicator.h"
#include "hccl/data_type.h"
#include "hccl/error.h"

namespace ascend_sim::hccl {
namespace {

// Sends and receives that run concurrently on one stream.
struct Batch {
  std::shared_ptr<Communicator> communicator;
  void* stream;
  std::vector<abi::HcclSendRecvItem> items;
};

// The sends and receives of this thread since its outermost HcclGroupStart.
struct Group {
  int depth = 0;
  std::vector<Batch> batches;
};

thread_local Group t_group;

void Check(const Communicator& communicator, const abi::HcclSendRecvItem& item) {
  Require(item.kind == abi::kHcclSend || item.kind == abi::kHcclRecv, abi::kHcclPara,
          "an item is neither a send (0) nor a receive (1)");
  communicator.RequireRank(item.peer, item.kind == abi::kHcclSend ? "destRank" : "srcRank");
  TypeBytes(item.type);
  if (item.count > 0) RequirePtr(item.buffer, "the buffer");
}

Message About(const abi::HcclSendRecvItem& item) {
  Message message;
  message.op = Message::Op::kSend;
  message.type = static_cast<uint8_t>(item.type);
  message.count = item.count;
  message.bytes = item.count * TypeBytes(item.type);
  return message;
}

// Messages of a rank to itself, in order: the first receive matches the first send.
void CopyOwn(const std::vector<abi::HcclSendRecvItem>& items, uint32_t rank) {
  std::deque<abi::HcclSendRecvItem> sends;
  for (const auto& item : items) {
    if (item.peer == rank && item.kind == abi::kHcclSend) sends.push_back(item);
  }
  for (const auto& item : items) {
    if (item.peer != rank || item.kind != abi::kHcclRecv) continue;
    Require(!sends.empty(), abi::kHcclPara,
            "a receive of a rank from itself has no send in the same batch");
    Require(About(item) == About(sends.front()), abi::kHcclPara,
            "a receive of a rank from itself differs from its send in count or type");
    if (item.count > 0) std::memmove(item.buffer, sends.front().buffer, About(item).bytes);
    sends.pop_front();
  }
  Require(sends.empty(), abi::kHcclPara,
          "a send of a rank to itself has no receive in the same batch");
}

void LaunchBatch(const char* name, Batch batch) {
  const uint32_t rank = batch.communicator->Rank();
  Message message = About(batch.items.front());
  batch.communicator->Launch(batch.stream, name, message,
                             [rank, items = std::move(batch.items)](Exchange& exchange) {
                               CopyOwn(items, rank);
                               for (const auto& item : items) {
                                 if (item.peer == rank) continue;
                                 auto* const data = static_cast<std::byte*>(item.buffer);
                                 const Message about = About(item);
                                 if (item.kind == abi::kHcclSend) {
                                   exchange.Send(item.peer, data, about);
                                 } else {
                                   exchange.Receive(item.peer, data, about);
                                 }
                               }
                               exchange.Run(Exchange::Until::kTaken);
                             });
}

// Runs at once, or with its group.
void Add(const char* name, HcclComm comm, void* stream,
         const std::vector<abi::HcclSendRecvItem>& items) {
  const auto communicator = CommunicatorArg(comm);
  for (const auto& item : items) Check(*communicator, item);
  if (t_group.depth == 0) return LaunchBatch(name, {communicator, stream, items});
  for (Batch& batch : t_group.batches) {
    if (batch.communicator != communicator || batch.stream != stream) continue;
    batch.items.insert(batch.items.end(), items.begin(), items.end());
    return;
  }
  t_group.batches.push_back({communicator, stream, items});
}

}  // namespace

int GroupStart() noexcept {
  ++t_group.depth;
  return abi::kHcclSuccess;
}

int GroupEnd() noexcept {
  return Call("HcclGroupEnd", [&] {
    Require(t_group.depth > 0, abi::kHcclPara, "there was no HcclGroupStart on this thread");
    if (--t_group.depth > 0) return;
    auto batches = std::exchange(t_group.batches, {});
    for (Batch& batch : batches) LaunchBatch("HcclGroupEnd", std::move(batch));
  });
}

ASCEND_SIM_ABI int HcclSend(void* buffer, uint64_t count, abi::HcclDataType type, uint32_t to,
                            HcclComm comm, void* stream) {
  return Call("HcclSend",
              [&] { Add("HcclSend", comm, stream, {{abi::kHcclSend, buffer, count, type, to}}); });
}

ASCEND_SIM_ABI int HcclRecv(void* buffer, uint64_t count, abi::HcclDataType type, uint32_t from,
                            HcclComm comm, void* stream) {
  return Call("HcclRecv", [&] {
    Add("HcclRecv", comm, stream, {{abi::kHcclRecv, buffer, count, type, from}});
  });
}

ASCEND_SIM_ABI int HcclBatchSendRecv(abi::HcclSendRecvItem* items, uint32_t count, HcclComm comm,
                                     void* stream) {
  return Call("HcclBatchSendRecv", [&] {
    RequirePtr(items, "sendRecvInfo");
    Require(count > 0, abi::kHcclPara, "itemNum is 0");
    Add("HcclBatchSendRecv", comm, stream, {items, items + count});
  });
}

}  // namespace ascend_sim::hccl
