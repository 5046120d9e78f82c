# SPDX-License-Identifier: Apache-2.0
"""Events outside captures."""

import ctypes
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_int, c_void_p

import pytest
from acl_abi import TIMED, Acl
from rules import rule

WaitLimit = Callable[[int], None]


@rule("section 3", "event.cc: a later record of the same event does not move the wait")
def test_a_wait_binds_to_the_record_that_is_the_latest_when_it_is_called(acl: Acl) -> None:
    producer, consumer, event, buffer = acl.stream(), acl.stream(), acl.event(), acl.buffer()
    acl.record(event, producer)
    first, second = acl.block(consumer), acl.block(producer)
    acl.wait(consumer, event)  # bound to the record before the gate
    acl.record(event, producer)  # behind the gate
    acl.fill(consumer, buffer, 1)
    first.open()
    acl.ok("aclrtSynchronizeStreamWithTimeout", consumer, 10000)
    assert acl.byte(buffer) == 1
    second.open()


@rule("section 3", "event.cc")
def test_a_wait_orders_streams(acl: Acl) -> None:
    producer, consumer, event, trace = acl.stream(), acl.stream(), acl.event(), list[str]()
    gate = acl.block(producer)
    assert acl.kernel(producer, lambda: trace.append("produced")) == 0
    acl.record(event, producer)
    acl.wait(consumer, event)
    assert acl.kernel(consumer, lambda: trace.append("consumed")) == 0
    assert not acl.complete(event)
    gate.open()
    acl.sync(consumer)
    assert trace == ["produced", "consumed"]
    assert acl.complete(event)


@rule("section 3", "event.cc, Ex semantics")
def test_a_never_recorded_event_is_complete_and_stops_nobody(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    assert acl.complete(event)
    acl.wait(stream, event)
    acl.ok("aclrtSynchronizeEvent", event)
    acl.sync(stream)


@rule("section 3", "event.cc, old semantics")
def test_old_events_are_not_complete_and_not_awaitable_before_a_record(acl: Acl) -> None:
    stream, event, status = acl.stream(), acl.old_event(), c_int()
    assert not acl.complete(event)
    acl.ok("aclrtQueryEvent", event, byref(status))
    assert status.value == 1
    assert acl.aclrtStreamWaitEvent(stream, event) == 107000
    acl.record(event, stream)
    acl.sync(stream)
    acl.ok("aclrtQueryEvent", event, byref(status))
    assert status.value == 0


@rule("section 3", "api_impl_event_common.cc")
def test_new_events_refuse_the_old_calls(acl: Acl) -> None:
    stream, event, status = acl.stream(), acl.event(), c_int()
    assert acl.aclrtResetEvent(event, stream) == 207000
    assert acl.aclrtQueryEvent(event, byref(status)) == 207000
    assert acl.aclrtQueryEventWaitStatus(event, byref(status)) == 207000


@rule("section 3", "event.cc: destruction is asynchronous")
def test_an_event_may_be_destroyed_while_work_refers_to_it(acl: Acl) -> None:
    producer, consumer, event = acl.stream(), acl.stream(), acl.event()
    gate = acl.block(producer)
    acl.record(event, producer)
    acl.wait(consumer, event)
    acl.ok("aclrtDestroyEvent", event)
    assert acl.aclrtDestroyEvent(event) == 107017
    gate.open()
    acl.sync(consumer)


@rule("section 3", "api_error.cc")
def test_synchronizing_an_event_times_out_with_507047(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    gate = acl.block(stream)
    acl.record(event, stream)
    assert acl.aclrtSynchronizeEventWithTimeout(event, 20) == 507047
    gate.open()
    acl.ok("aclrtSynchronizeEvent", event)


@rule("section 3", "event.cc")
def test_elapsed_time_is_that_of_the_work_between(acl: Acl) -> None:
    stream, start, end = acl.stream(), acl.event(TIMED), acl.event(TIMED)
    acl.record(start, stream)
    acl.host(stream, lambda: time.sleep(0.05))
    acl.record(end, stream)
    acl.sync(stream)
    assert acl.elapsed(start, end) >= 45


@rule("section 3", "event.cc")
def test_elapsed_time_needs_records_and_the_timing_flag(acl: Acl) -> None:
    stream, timed, plain = acl.stream(), acl.event(TIMED), acl.event()
    milliseconds = ctypes.c_float()
    assert acl.aclrtEventElapsedTime(byref(milliseconds), timed, timed) == 507000
    acl.record(plain, stream)
    acl.sync(stream)
    assert acl.aclrtEventElapsedTime(byref(milliseconds), plain, plain) == 107006


@rule("section 3", "api_error.cc")
@pytest.mark.parametrize("flags", [0, 0x10, 0x20, 0x41, 0x80])
def test_ex_events_refuse_flags_that_are_not_theirs(acl: Acl, flags: int) -> None:
    assert acl.aclrtCreateEventExWithFlag(byref(c_void_p()), flags) == 107000


@pytest.fixture
def wait_limit(acl: Acl) -> Iterator[WaitLimit]:
    """Set the limit of waits in seconds, for this test."""
    yield lambda seconds: acl.ok("aclrtSetOpWaitTimeout", seconds)
    acl.ok("aclrtSetOpWaitTimeout", 0)


@rule("section 3", "aclrtSetOpWaitTimeout: waits issued after the call")
def test_a_wait_that_runs_out_of_time_fails_its_stream(acl: Acl, wait_limit: WaitLimit) -> None:
    stream, event = acl.stream(), acl.external_event()
    wait_limit(1)
    acl.wait(stream, event)
    assert acl.aclrtSynchronizeStream(stream) == 107020


@rule("section 3", "aclrtSetOpWaitTimeout: waits issued after the call")
def test_a_wait_in_a_graph_has_the_limit_of_its_capture(acl: Acl, wait_limit: WaitLimit) -> None:
    stream, event = acl.stream(), acl.external_event()
    wait_limit(1)
    acl.begin(stream)
    acl.wait(stream, event)
    graph = acl.end(stream)
    wait_limit(0)
    acl.execute(graph, stream)
    assert acl.aclrtSynchronizeStream(stream) == 107020
