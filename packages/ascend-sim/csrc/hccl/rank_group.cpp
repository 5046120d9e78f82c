// SPDX-License-Identifier: Apache-2.0
#include "ascend_sim/rank_group.h"

#include <utility>

#include "hccl/communicator.h"

namespace ascend_sim {
namespace {

using namespace hccl;

class Membership : public RankGroup {
 public:
  explicit Membership(std::shared_ptr<Communicator> communicator)
      : communicator_(std::move(communicator)) {}

  uint32_t Ranks() const override { return communicator_->Ranks(); }

  Parts AllToAll(Parts parts) override {
    const uint32_t rank = communicator_->Rank(), ranks = Ranks();
    Message message;
    message.op = Message::Op::kAllToAll;
    message.type = static_cast<uint8_t>(abi::kInt8);
    Parts received(ranks);
    communicator_->Execute(message, [&](Exchange& exchange) {
      const auto with_peers = [&](const auto& visit) {
        for (uint32_t peer = 0; peer < ranks; ++peer) {
          if (peer != rank) visit(peer);
        }
      };
      std::vector<uint64_t> sends(ranks), receives(ranks);
      with_peers([&](uint32_t peer) {
        sends[peer] = parts[peer].size();
        exchange.Send(peer, reinterpret_cast<const std::byte*>(&sends[peer]), sizeof sends[peer]);
        exchange.Receive(peer, reinterpret_cast<std::byte*>(&receives[peer]),
                         sizeof receives[peer]);
      });
      exchange.Run(Exchange::Until::kMoved);
      with_peers([&](uint32_t peer) {
        received[peer].resize(receives[peer]);
        exchange.Send(peer, parts[peer].data(), parts[peer].size());
        exchange.Receive(peer, received[peer].data(), received[peer].size());
      });
      exchange.Run(Exchange::Until::kTaken);
    });
    received[rank] = std::move(parts[rank]);
    return received;
  }

 private:
  const std::shared_ptr<Communicator> communicator_;
};

}  // namespace

std::shared_ptr<RankGroup> FindRankGroup(const std::string& name, uint32_t rank) {
  for (auto& communicator : hccl::FindAll(name)) {
    if (communicator->Rank() == rank) return std::make_shared<Membership>(std::move(communicator));
  }
  return nullptr;
}

std::shared_ptr<RankGroup> FindRankGroup(const std::string& name) {
  auto communicators = hccl::FindAll(name);
  if (communicators.size() != 1) return nullptr;
  return std::make_shared<Membership>(std::move(communicators[0]));
}

}  // namespace ascend_sim
