// SPDX-License-Identifier: Apache-2.0
//
// The capture state machine: which streams record into which graph, and what is forbidden
// meanwhile. All of its state is guarded by one process-wide mutex; nothing is called back and
// nothing waits while it is held.
#pragma once

#include <mutex>

#include "acl/graph/graph.h"

namespace ascend_sim {

class Event;
class Stream;

std::mutex& CaptureMutex();

// A launch on a stream that captures or updates. True: `task` was recorded into a graph. False:
// `task` is to be queued on the stream; in an update it has become the work that replaces a task of
// the group. Throws what the launching call must return.
bool LaunchSpecial(Stream& stream, Task& task, TaskDetail detail);

// Event calls: true when the call was taken into a capture (or is a no-op there), false when it is
// an ordinary one.
bool CaptureRecord(Stream& stream, Event& event);
bool CaptureWait(Stream& stream, Event& event);

// A record of or a wait for the world outside a graph, as work of the graph.
void CaptureExternal(Stream& stream, Event& event, bool records);

// Adds a condition to the graph that the stream is being captured into.
void CaptureCondition(Stream& stream, const std::shared_ptr<Condition>& condition);

// Draws a stream into a graph: a new lane of it. Needs the capture mutex.
size_t Join(Graph& graph, Stream& stream);

// Part of a model: bound to one that is built, or what a graph keeps in a captured stream's place.
bool IsBound(const Stream& stream);

// Fails with 107027 or 107028.
void RequireNotCapturing(const Stream& stream);
void RequireNotCaptured(const Event& event);

bool IsCapturing(const Stream& stream);

// The check before the few operations that capture modes can forbid (synchronous copies and fills):
// fails with `code` when the modes in force for this thread and its context forbid them.
void RequireModeAllows(int code = kCaptureModeNotSupport);

// Ends the captures and forgets the graphs of a context that goes away.
void AbandonGraphs(const Context& context);

// Marks a graph invalid: later work is swallowed and the end of the capture fails. Needs the
// capture mutex.
void Invalidate(Graph& graph);

}  // namespace ascend_sim
