// SPDX-License-Identifier: Apache-2.0
//
// The seam between the runtime and the graphs above it: what the runtime asks of them. acl/graph
// implements it and installs itself when the library is loaded.
#pragma once

#include <memory>

#include "acl/machine/quota.h"
#include "acl/task/launch_target.h"

namespace ascend_sim {

class Context;
class Device;
class Event;
class Stream;

// Stateless; safe from any thread. Everything fails with what the calling ABI function must return.
class GraphLayer {
 public:
  virtual ~GraphLayer() = default;

  // The target of a stream that is being made.
  virtual std::unique_ptr<LaunchTarget> MakeTarget() = 0;

  // Event calls: true when the call was taken into a capture (or is a no-op there), false when it
  // is an ordinary one.
  virtual bool Record(Stream& stream, Event& event) = 0;
  virtual bool Wait(Stream& stream, Event& event) = 0;
  // A record for, or a wait for, the world outside a graph, as work of the graph.
  virtual void UseExternally(Stream& stream, Event& event, bool records) = 0;
  // Fails with 107028.
  virtual void RequireNotCaptured(const Event& event) = 0;

  // The check before the few operations that capture modes can forbid (synchronous copies and
  // fills): fails with `code` when the modes in force for this thread and its context forbid them.
  virtual void RequireModeAllows(int code) = 0;

  // Ends the captures and forgets the graphs of a context that goes away.
  virtual void Abandon(const Context& context) = 0;

  // One queue for a stream of its own; 207005 when there is none, not even from an idle graph.
  virtual Claim ClaimQueue(Context& context) = 0;
  // Gives the queues that no graph uses back to a device that is being reset.
  virtual void ReturnIdleQueues(Device& device) = 0;
};

// The installed one.
GraphLayer& TheGraphLayer();

// Installs `layer`, of static storage, for good; before the first call into the library.
void Install(GraphLayer& layer);

}  // namespace ascend_sim
