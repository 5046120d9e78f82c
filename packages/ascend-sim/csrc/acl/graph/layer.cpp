// SPDX-License-Identifier: Apache-2.0
//
// Connects the runtime's questions about graphs with the functions that answer them.
#include "acl/graph/binding.h"
#include "acl/graph/capture.h"
#include "acl/graph/capture_state.h"
#include "acl/runtime/graph_layer.h"

namespace ascend_sim {
namespace {

class Layer final : public GraphLayer {
 public:
  std::unique_ptr<LaunchTarget> MakeTarget() override { return std::make_unique<CaptureState>(); }

  bool Record(Stream& stream, Event& event) override { return CaptureRecord(stream, event); }
  bool Wait(Stream& stream, Event& event) override { return CaptureWait(stream, event); }
  void UseExternally(Stream& stream, Event& event, bool records) override {
    CaptureExternal(stream, event, records);
  }
  void RequireNotCaptured(const Event& event) override { ascend_sim::RequireNotCaptured(event); }
  void RequireModeAllows(int code) override { ascend_sim::RequireModeAllows(code); }
  void Abandon(const Context& context) override { AbandonGraphs(context); }

  Claim ClaimQueue(Context& context) override { return ascend_sim::ClaimQueue(context); }
  void ReturnIdleQueues(Device& device) override { ascend_sim::ReturnIdleQueues(device); }
};

const bool installed = [] {
  static Layer layer;
  Install(layer);
  return true;
}();

}  // namespace
}  // namespace ascend_sim
