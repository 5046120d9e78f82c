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

// Adds a node to a lane of a graph that is being captured; swallows it when the capture is invalid.
// Needs the capture mutex.
void AppendNode(Graph& graph, size_t lane, GraphNode node);

// Event calls, as GraphLayer has them.
bool CaptureRecord(Stream& stream, Event& event);
bool CaptureWait(Stream& stream, Event& event);
void CaptureExternal(Stream& stream, Event& event, bool records);

// Draws a stream into a graph: a new lane of it. Needs the capture mutex.
size_t Join(Graph& graph, Stream& stream);

void RequireNotCaptured(const Event& event);

// For contexts, as GraphLayer has them.
void RequireModeAllows(int code);
void AbandonGraphs(const Context& context);

// Marks a graph invalid: later work is swallowed and the end of the capture fails. Needs the
// capture mutex.
void Invalidate(Graph& graph);

}  // namespace ascend_sim
