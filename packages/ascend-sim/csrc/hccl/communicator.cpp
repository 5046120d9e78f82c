// SPDX-License-Identifier: Apache-2.0
#include "hccl/communicator.h"

#include <cstring>
#include <utility>

#include "acl/base/handle.h"
#include "ascend_sim/blocking.h"
#include "hccl/error.h"
#include "hccl/settings.h"

namespace ascend_sim::hccl {
namespace {

Handles<Communicator>& Communicators() {
  static auto* const communicators = new Handles<Communicator>("communicator", 32);
  return *communicators;
}

// The device resources of a communicator. The number of streams is vllm-ascend's allowance for one
// (vllm_ascend/utils.py, until 0.21), which it drops if collectives run on vector cores. The number
// of notifies is an assumption.
constexpr int kStreams = 40;
constexpr int kNotifiesPerPeer = 2;

}  // namespace

CommunicatorOptions CommunicatorOptions::From(const abi::HcclCommConfig* config) {
  CommunicatorOptions options;
  options.timeout = ExecTimeout();
  options.streams = ExpandsOnVectorCores() ? 0 : kStreams;
  if (config == nullptr) return options;
  if (config->magic != abi::kHcclConfigMagic) {
    Raise(abi::kHcclPara, "the configuration was not made by HcclCommConfigInit");
  }
  // The structure of an older caller is shorter.
  const auto has = [config](size_t end) { return config->size >= end; };
  if (has(offsetof(abi::HcclCommConfig, udi))) {
    options.name.assign(config->name, strnlen(config->name, sizeof config->name - 1));
  }
  if (has(sizeof(abi::HcclCommConfig)) && config->exec_timeout >= 0) {
    options.timeout.reset();
    if (config->exec_timeout > 0) options.timeout = std::chrono::seconds(config->exec_timeout);
  }
  return options;
}

Communicator::Communicator(std::shared_ptr<Segment> segment, CommunicatorOptions options,
                           int device)
    : segment_(std::move(segment)),
      name_(options.name.empty() ? "hccl_" + segment_->Id().substr(0, 16) : options.name),
      timeout_(options.timeout) {
  const int notifies = kNotifiesPerPeer * static_cast<int>(Ranks() - 1);
  if (reservation_.Take("HcclCommInit", device, options.streams, notifies) != 0) {
    Raise(abi::kHcclRuntime, "the communicator needs " + std::to_string(options.streams) +
                                 " streams and " + std::to_string(notifies) +
                                 " notifies of device " + std::to_string(device) +
                                 ", which does not have that many left: destroy streams, "
                                 "communicators or graphs, or set "
                                 "HCCL_OP_EXPANSION_MODE=AIV, which needs no streams");
  }
}

void Communicator::RequireRank(uint32_t rank, const char* what) const {
  if (rank < Ranks()) return;
  Raise(abi::kHcclPara, std::string(what) + " " + std::to_string(rank) +
                            " does not exist: the communicator has " + std::to_string(Ranks()) +
                            " ranks");
}

void Communicator::Launch(void* stream, const char* name, const Message& message,
                          std::function<void(Exchange&)> body) {
  RequirePtr(stream, "stream");
  const auto run = [self = shared_from_this(), message, body = std::move(body)] {
    self->Execute(message, body);
  };
  if (ascend_sim::Launch(stream, {name, TaskKind::kCommunication, run, nullptr, /*waits=*/true}) !=
      0) {
    Raise(abi::kHcclRuntime, "the stream rejected the collective");
  }
}

void Communicator::Execute(const Message& message, const std::function<void(Exchange&)>& body) {
  std::unique_lock turn(turn_, std::defer_lock);
  while (!turn.try_lock_for(std::chrono::milliseconds(5))) ThrowIfCancelled();
  Message numbered = message;
  if (message.op != Message::Op::kSend) numbered.sequence = ++sequence_;
  try {
    segment_->ThrowFailure();
    if (closing_.load()) Raise(abi::kHcclSuspending, "the communicator was destroyed");
    Exchange exchange(*segment_, numbered, {timeout_, &closing_});
    body(exchange);
  } catch (const Error& error) {
    segment_->RecordFailure(error.Code(), error.what());
    Raise(error.Code(), "communicator " + name_ + ": " + error.what());
  } catch (...) {
    segment_->RecordFailure(abi::kHcclSuspending,
                            Describe(numbered) + " was cancelled: its stream was destroyed");
    throw;
  }
}

void Communicator::Close() {
  closing_.store(true);
  reservation_.Release();
  segment_->Leave();
  segment_->OwnBell().Ring();
}

std::shared_ptr<Communicator> CommunicatorArg(HcclComm handle) {
  RequirePtr(handle, "comm");
  auto communicator = Communicators().Find(handle);
  Require(communicator != nullptr, abi::kHcclPara,
          "not a live communicator: it was destroyed, or never was one");
  return communicator;
}

std::vector<std::shared_ptr<Communicator>> FindAll(const std::string& name) {
  auto communicators = Communicators().All();
  std::erase_if(communicators, [&](const auto& each) { return each->Name() != name; });
  return communicators;
}

HcclComm Register(std::shared_ptr<Communicator> communicator) {
  void* const handle = Communicators().Reserve();
  Communicators().Add(handle, std::move(communicator));
  return handle;
}

void Destroy(HcclComm handle) {
  CommunicatorArg(handle);
  const auto communicator = Communicators().Remove(handle);
  if (communicator != nullptr) communicator->Close();
}

}  // namespace ascend_sim::hccl
