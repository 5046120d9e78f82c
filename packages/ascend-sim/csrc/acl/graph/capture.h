// SPDX-License-Identifier: Apache-2.0
//
// The capture state machine: which streams record into which graph, and which calls are forbidden
// during a capture. One process-wide mutex guards all of its state. No callback runs and nothing
// waits while it is held.
#pragma once

#include <mutex>

#include "acl/graph/graph.h"

namespace ascend_sim {

class Event;
class Stream;

std::mutex& CaptureMutex();

// Adds a node to a lane of a graph that is being captured. Drops it if the capture is invalid. The
// caller holds the capture mutex.
void AppendNode(Graph& graph, size_t lane, GraphNode node);

// Event calls; see GraphLayer.
bool CaptureRecord(Stream& stream, Event& event);
bool CaptureWait(Stream& stream, Event& event);
void CaptureExternal(Stream& stream, Event& event, bool records);

// Adds a stream to a graph, as a new lane. The caller holds the capture mutex.
size_t Join(Graph& graph, Stream& stream);

void RequireNotCaptured(const Event& event);

// Calls for contexts; see GraphLayer.
void RequireModeAllows(int code);
void AbandonGraphs(const Context& context);

// Marks a graph invalid: later work is dropped, and ending the capture fails. The caller holds the
// capture mutex.
void Invalidate(Graph& graph);

}  // namespace ascend_sim
