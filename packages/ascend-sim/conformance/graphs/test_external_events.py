# SPDX-License-Identifier: Apache-2.0
"""Events that cross the border of a graph: the EXTERNAL flag of events, of records and of waits."""

import time
from ctypes import byref, c_int, c_void_p

import pytest
from acl_abi import NONE, RELAXED, SYNC, TIMED, Acl
from acl_fixtures import hardware_queues
from rules import rule

DEFAULT, EXTERNAL = 0, 1  # flags of records and waits


@rule("case 50", "capture_event_external2")
def test_an_external_event_is_a_node_and_draws_no_stream_in(acl: Acl) -> None:
    origin, other, event = acl.stream(), acl.stream(), acl.external_event()
    acl.begin(origin)
    acl.record(event, origin)
    acl.wait(other, event)
    assert acl.info(other)[0] == NONE
    graph = acl.end(origin)
    acl.execute(graph, origin)
    acl.sync(other)  # the wait on it ends with the replay


@rule("section 1.6", "capture_event_external: wait blocks until recorded, reset arms it again")
def test_an_external_event_is_a_flag_set_and_cleared_when_tasks_run(acl: Acl) -> None:
    producer, consumer, event, trace = acl.stream(), acl.stream(), acl.external_event(), list[str]()
    acl.wait(consumer, event)  # before any record: it blocks
    acl.ok("aclrtResetEvent", event, consumer)
    assert acl.kernel(consumer, lambda: trace.append("first")) == 0
    acl.wait(consumer, event)
    assert acl.kernel(consumer, lambda: trace.append("second")) == 0
    acl.record(event, producer)
    deadline = time.monotonic() + 10
    while trace != ["first"] and time.monotonic() < deadline:
        time.sleep(0.001)
    assert acl.aclrtSynchronizeStreamWithTimeout(consumer, 20) == 507046  # armed again
    acl.record(event, producer)
    acl.sync(consumer)
    assert trace == ["first", "second"]


@rule("section 1.6", "capture_event_external: no queries of the host")
def test_an_external_event_cannot_be_asked_or_awaited_by_the_host(acl: Acl) -> None:
    event, status = acl.external_event(), c_int()
    assert acl.aclrtQueryEventStatus(event, byref(status)) == 207000
    assert acl.aclrtSynchronizeEvent(event) == 207000


@rule("section 1.6", "capture_adapt_v100.cc: the last task must be a record of a captured event")
def test_a_record_of_an_external_event_does_not_join_a_stream(acl: Acl) -> None:
    origin, branch, event = acl.stream(), acl.stream(), acl.external_event()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.join(branch, origin)
    acl.record(event, branch)
    assert acl.try_end(origin)[0] == 107025


@rule("section 1.6", "capture_event_external: record, wait and reset are ordinary nodes")
def test_a_graph_may_wait_for_an_external_event_and_reset_it_at_each_replay(acl: Acl) -> None:
    stream, producer, event, buffer = (
        acl.stream(),
        acl.stream(),
        acl.external_event(),
        acl.buffer(),
    )
    acl.begin(stream)
    acl.wait(stream, event)
    acl.ok("aclrtResetEvent", event, stream)
    acl.fill(stream, buffer, 1)
    graph = acl.end(stream)
    for _ in range(2):
        acl.fill(producer, buffer, 0)
        acl.sync(producer)
        acl.execute(graph, stream)
        assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20) == 507046
        acl.record(event, producer)
        acl.sync(stream)
        assert acl.byte(buffer) == 1


# --- records and waits with the external flag ---


def record_externally(acl: Acl, event: c_void_p, stream: c_void_p) -> int:
    code: int = acl.aclrtRecordEventWithFlag(event, stream, EXTERNAL)
    return code


def wait_externally(acl: Acl, stream: c_void_p, event: c_void_p) -> int:
    code: int = acl.aclrtStreamWaitEventWithFlag(stream, event, 0, EXTERNAL)
    return code


@rule("case 51", "api_error.cc, api_impl.cc; rtEventRecordWithFlagApiValidation")
def test_an_external_record_or_wait_outside_a_capture_is_107029(acl: Acl) -> None:
    stream = acl.stream()
    assert record_externally(acl, acl.event(), stream) == 107029
    assert wait_externally(acl, stream, acl.event()) == 107029


@rule("case 51", "rtEventRecordWithFlagApiValidation")
@pytest.mark.parametrize("kind", ["old", "timed", "external"])
def test_an_external_record_of_another_kind_of_event_is_207000(acl: Acl, kind: str) -> None:
    event = {
        "old": acl.old_event,
        "timed": lambda: acl.event(TIMED),
        "external": acl.external_event,
    }[kind]()
    stream = acl.stream()
    acl.begin(stream)
    assert record_externally(acl, event, stream) == 207000
    acl.end(stream)


@rule("case 51", "event.hpp: the flag is fixed at its first use, also if that failed")
def test_the_flag_of_an_events_records_cannot_change(acl: Acl) -> None:
    stream, event, other = acl.stream(), acl.event(), acl.event()
    assert record_externally(acl, event, stream) == 107029
    assert acl.aclrtRecordEventWithFlag(event, stream, DEFAULT) == 107000
    acl.ok("aclrtStreamWaitEventWithFlag", stream, event, 0, DEFAULT)  # waits have their own
    acl.ok("aclrtRecordEventWithFlag", other, stream, DEFAULT)
    assert record_externally(acl, other, stream) == 107000
    assert wait_externally(acl, stream, event) == 107000


@rule("section 1.6", "api_error.cc: flags are 0 and 1; an external wait has no time limit")
def test_the_flags_and_the_time_limit_are_checked(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtRecordEventWithFlag(acl.event(), stream, 2) == 107000
    assert acl.aclrtStreamWaitEventWithFlag(stream, acl.event(), 0, 2) == 107000
    assert acl.aclrtStreamWaitEventWithFlag(stream, acl.event(), 5, EXTERNAL) == 107000
    acl.end(stream)


@rule("cases 52, 53", "api_impl.cc: CheckCaptureModelSupportSoftwareSq")
def test_hardware_queues_have_no_external_records_and_waits(acl: Acl) -> None:
    if not hardware_queues():
        pytest.skip("needs hardware queues")
    stream = acl.stream()
    acl.begin(stream)
    assert record_externally(acl, acl.event(), stream) == 207000
    assert wait_externally(acl, stream, acl.event()) == 207000
    acl.end(stream)


@rule("case 52", "capture_model.cc")
@pytest.mark.usefixtures("software_queues")
@pytest.mark.parametrize("second", ["record", "wait"])
def test_a_graph_uses_an_event_externally_once(acl: Acl, second: str) -> None:
    stream, event = acl.stream(), acl.event(SYNC)
    acl.begin(stream)
    assert record_externally(acl, event, stream) == 0
    if second == "record":
        assert record_externally(acl, event, stream) == 107000
    else:
        assert wait_externally(acl, stream, event) == 107000
    acl.end(stream)


@rule("case 53", "capture_model.cc; rt_utest_external_event_task.cc")
@pytest.mark.usefixtures("software_queues")
def test_an_external_wait_without_a_record_does_not_block_the_replay(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    assert wait_externally(acl, stream, event) == 0
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, 10000)


@rule("section 1.6", "capture_model.cc, Prepare: bound when the execution is called")
@pytest.mark.usefixtures("software_queues")
def test_an_external_wait_binds_to_the_latest_record_at_each_execution(acl: Acl) -> None:
    stream, producer, event, buffer = acl.stream(), acl.stream(), acl.event(), acl.buffer()
    acl.begin(stream)
    assert wait_externally(acl, stream, event) == 0
    acl.fill(stream, buffer, 1)
    graph = acl.end(stream)
    first = acl.block(producer)
    acl.record(event, producer)
    acl.execute(graph, stream)
    second = acl.block(producer)
    acl.record(event, producer)  # too late for the execution above
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20) == 507046
    first.open()
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, 10000)
    assert acl.byte(buffer) == 1
    acl.execute(graph, stream)
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20) == 507046
    second.open()
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, 10000)


@rule("section 1.6", "capture_model.cc, Commit: published when the execution is called")
@pytest.mark.usefixtures("software_queues")
def test_a_wait_after_an_execution_sees_the_graphs_external_record(acl: Acl) -> None:
    stream, consumer, event = acl.stream(), acl.stream(), acl.event()
    acl.begin(stream)
    assert record_externally(acl, event, stream) == 0
    graph = acl.end(stream)
    for _ in range(2):
        gate = acl.block(stream)
        acl.execute(graph, stream)
        acl.wait(consumer, event)
        assert not acl.complete(event)
        assert acl.aclrtSynchronizeStreamWithTimeout(consumer, 20) == 507046
        gate.open()
        acl.ok("aclrtSynchronizeStreamWithTimeout", consumer, 10000)
        assert acl.complete(event)


@rule("section 1.6", "api_impl.cc: not in a sub ACL graph")
@pytest.mark.usefixtures("software_queues")
def test_the_graph_of_a_condition_has_no_external_records_and_waits(acl: Acl) -> None:
    from test_conditionals import IF, Condition, body

    stream = acl.stream()
    acl.begin(stream, RELAXED)
    (child,) = Condition(acl, stream).add(IF, 1)
    inner = body(acl, child)
    assert record_externally(acl, acl.event(), inner) == 207000
    assert wait_externally(acl, inner, acl.event()) == 207000
    acl.ok("aclmdlRICaptureEnd", inner, None)
    acl.end(stream)
