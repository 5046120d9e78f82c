# SPDX-License-Identifier: Apache-2.0
"""Events recorded and awaited in a capture."""

import ctypes
from ctypes import byref, c_int

from acl_abi import NONE, Acl
from rules import rule


@rule("case 13", "api_impl.cc; capture_event_not_support")
def test_a_graph_cannot_wait_for_an_event_recorded_outside(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    acl.record(event, stream)
    acl.begin(stream)
    assert acl.aclrtStreamWaitEvent(stream, event) == 107024
    acl.end(stream)


@rule("case 14", "event.cc")
def test_waiting_for_a_never_recorded_event_in_a_capture_does_nothing(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    acl.wait(stream, event)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)


@rule("case 15", "api_impl.cc")
def test_old_events_cannot_be_recorded_in_a_capture(acl: Acl) -> None:
    stream, event = acl.stream(), acl.old_event()
    acl.begin(stream)
    assert acl.aclrtRecordEvent(event, stream) == 207000
    acl.end(stream)


@rule("section 1.6", "api_impl.cc")
def test_recording_an_event_without_the_sync_flag_adds_nothing(acl: Acl) -> None:
    stream, event, other = acl.stream(), acl.event(flags=0x8), acl.stream()
    acl.begin(stream)
    acl.record(event, stream)
    acl.wait(other, event)  # no fork: the event is not part of the capture
    assert acl.info(other)[0] == NONE
    acl.end(stream)


@rule("case 16", "api_impl.cc")
def test_the_default_stream_cannot_be_drawn_into_a_capture(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    acl.record(event, stream)
    assert acl.aclrtStreamWaitEvent(None, event) == 107031
    assert acl.aclrtStreamWaitEvent(acl.default_stream(), event) == 107031
    acl.end(stream)


@rule("case 17", "api_impl_event_common.cc")
def test_captured_events_cannot_be_asked_or_awaited_by_the_host(acl: Acl) -> None:
    stream, event, status = acl.stream(), acl.event(0x9), c_int()
    acl.begin(stream)
    acl.record(event, stream)
    assert acl.aclrtQueryEventStatus(event, byref(status)) == 107028
    assert acl.aclrtSynchronizeEvent(event) == 107028
    assert acl.aclrtEventElapsedTime(byref(ctypes.c_float()), event, event) == 107028
    acl.end(stream)
    assert acl.complete(event)  # back outside, where it was never recorded
