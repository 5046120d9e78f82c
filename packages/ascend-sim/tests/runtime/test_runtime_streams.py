# SPDX-License-Identifier: Apache-2.0
"""Streams, events, values and host functions under real asynchrony."""

import ctypes
import threading
import time
from ctypes import byref, c_int, c_int32, c_uint64, c_void_p

import pytest
from acl_abi import TIMED, Acl

# --- streams ---


def test_work_is_asynchronous_and_a_forgotten_synchronization_shows_stale_data(acl: Acl) -> None:
    """A test that forgets to synchronize must be able to fail."""
    stream, buffer = acl.stream(), acl.buffer()
    gate = acl.block(stream)
    acl.fill(stream, buffer, 1)
    assert acl.byte(buffer) == 0  # stale: aclrtMemcpy does not wait for streams
    gate.open()
    acl.sync(stream)
    assert acl.byte(buffer) == 1


def test_a_stream_keeps_the_order_of_its_work(acl: Acl) -> None:
    """Strict FIFO within a stream."""
    stream, trace = acl.stream(), list[int]()
    for number in range(200):
        assert acl.kernel(stream, lambda number=number: trace.append(number)) == 0
    acl.sync(stream)
    assert trace == list(range(200))


def test_streams_do_not_wait_for_each_other(acl: Acl) -> None:
    """None across streams except by events, notifies and values."""
    blocked, free, buffer = acl.stream(), acl.stream(), acl.buffer()
    gate = acl.block(blocked)
    acl.fill(free, buffer, 1)
    acl.sync(free)
    assert acl.byte(buffer) == 1
    gate.open()


def test_query_tells_whether_a_stream_is_busy(acl: Acl) -> None:
    """COMPLETE 0, NOT_READY 1."""
    stream, status = acl.stream(), c_int()
    gate = acl.block(stream)
    acl.ok("aclrtStreamQuery", stream, byref(status))
    assert status.value == 1
    gate.open()
    acl.sync(stream)
    acl.ok("aclrtStreamQuery", stream, byref(status))
    assert status.value == 0


@pytest.mark.parametrize("timeout", [0, -2])
def test_a_timeout_that_is_not_valid_is_107000(acl: Acl, timeout: int) -> None:
    """api_error.cc."""
    assert acl.aclrtSynchronizeStreamWithTimeout(acl.stream(), timeout) == 107000
    assert acl.aclrtSynchronizeDeviceWithTimeout(timeout) == 107000
    assert acl.aclrtSynchronizeEventWithTimeout(acl.event(), timeout) == 107000


def test_synchronizing_a_busy_stream_times_out_with_507046(acl: Acl) -> None:
    """stream.cc."""
    stream = acl.stream()
    gate = acl.block(stream)
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20) == 507046
    assert acl.aclrtSynchronizeDeviceWithTimeout(20) == 507046
    gate.open()
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, -1)


def test_destroying_a_stream_finishes_its_work(acl: Acl) -> None:
    """api_impl.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.host(stream, lambda: time.sleep(0.05))
    acl.fill(stream, buffer, 1)
    acl.ok("aclrtDestroyStream", stream)
    assert acl.byte(buffer) == 1


def test_destroying_a_stream_by_force_drops_its_work_even_if_it_waits(acl: Acl) -> None:
    """api_impl.cc."""
    stream, buffer, flag = acl.stream(), acl.buffer(), acl.buffer()
    acl.ok("aclrtValueWait", flag, 1, 1, stream)  # never satisfied
    acl.fill(stream, buffer, 1)
    acl.ok("aclrtDestroyStreamForce", stream)
    assert acl.byte(buffer) == 0


@pytest.mark.parametrize(
    "call", ["aclrtDestroyStream", "aclrtSynchronizeStream", "aclmdlRICaptureTaskGrpBegin"]
)
def test_a_destroyed_stream_is_an_invalid_handle(acl: Acl, call: str) -> None:
    """runtime_handle_guard.cc."""
    stream = acl.stream()
    acl.ok("aclrtDestroyStream", stream)
    assert getattr(acl, call)(stream) == 107017


def test_a_handle_of_another_kind_is_invalid(acl: Acl) -> None:
    """runtime_handle_guard.cc checks magic numbers."""
    assert acl.aclrtSynchronizeStream(acl.event()) == 107017
    assert acl.aclrtDestroyEvent(acl.stream()) == 107017
    assert acl.aclrtSynchronizeStream(c_void_p(0x1234)) == 107017


def test_streams_have_different_ids(acl: Acl) -> None:
    """api_impl.cc."""
    ids = []
    for _ in range(2):
        number = c_int32()
        acl.ok("aclrtStreamGetId", acl.stream(), byref(number))
        ids.append(number.value)
    assert ids[0] != ids[1]


def test_stream_attributes_that_are_not_simulated_are_107000(acl: Acl) -> None:
    """torch_npu sets 4 (keep operation names) before each capture and tolerates this code."""
    stream, value = acl.stream(), (c_uint64 * 2)(1, 0)
    assert acl.aclrtSetStreamAttribute(stream, 4, value) == 0
    assert acl.aclrtSetStreamAttribute(stream, 99, value) == 107000
    assert acl.aclrtSetStreamAttribute(stream, 1, None) == 100000


# --- events ---


def test_a_wait_binds_to_the_record_that_is_the_latest_when_it_is_called(acl: Acl) -> None:
    """event.cc: a later record of the same event does not move the wait."""
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


def test_a_wait_orders_streams(acl: Acl) -> None:
    """event.cc."""
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


def test_a_never_recorded_event_is_complete_and_stops_nobody(acl: Acl) -> None:
    """event.cc, Ex semantics."""
    stream, event = acl.stream(), acl.event()
    assert acl.complete(event)
    acl.wait(stream, event)
    acl.ok("aclrtSynchronizeEvent", event)
    acl.sync(stream)


def test_old_events_are_not_complete_and_not_awaitable_before_a_record(acl: Acl) -> None:
    """event.cc, old semantics."""
    stream, event, status = acl.stream(), acl.old_event(), c_int()
    assert not acl.complete(event)
    acl.ok("aclrtQueryEvent", event, byref(status))
    assert status.value == 1
    assert acl.aclrtStreamWaitEvent(stream, event) == 107000
    acl.record(event, stream)
    acl.sync(stream)
    acl.ok("aclrtQueryEvent", event, byref(status))
    assert status.value == 0


def test_new_events_refuse_the_old_calls(acl: Acl) -> None:
    """api_impl_event_common.cc."""
    stream, event, status = acl.stream(), acl.event(), c_int()
    assert acl.aclrtResetEvent(event, stream) == 207000
    assert acl.aclrtQueryEvent(event, byref(status)) == 207000
    assert acl.aclrtQueryEventWaitStatus(event, byref(status)) == 207000


def test_an_event_may_be_destroyed_while_work_refers_to_it(acl: Acl) -> None:
    """event.cc: destruction is asynchronous."""
    producer, consumer, event = acl.stream(), acl.stream(), acl.event()
    gate = acl.block(producer)
    acl.record(event, producer)
    acl.wait(consumer, event)
    acl.ok("aclrtDestroyEvent", event)
    assert acl.aclrtDestroyEvent(event) == 107017
    gate.open()
    acl.sync(consumer)


def test_synchronizing_an_event_times_out_with_507047(acl: Acl) -> None:
    """api_error.cc."""
    stream, event = acl.stream(), acl.event()
    gate = acl.block(stream)
    acl.record(event, stream)
    assert acl.aclrtSynchronizeEventWithTimeout(event, 20) == 507047
    gate.open()
    acl.ok("aclrtSynchronizeEvent", event)


def test_elapsed_time_is_that_of_the_work_between(acl: Acl) -> None:
    """event.cc."""
    stream, start, end = acl.stream(), acl.event(TIMED), acl.event(TIMED)
    acl.record(start, stream)
    acl.host(stream, lambda: time.sleep(0.05))
    acl.record(end, stream)
    acl.sync(stream)
    assert acl.elapsed(start, end) >= 45


def test_elapsed_time_needs_records_and_the_timing_flag(acl: Acl) -> None:
    """event.cc."""
    stream, timed, plain = acl.stream(), acl.event(TIMED), acl.event()
    milliseconds = ctypes.c_float()
    assert acl.aclrtEventElapsedTime(byref(milliseconds), timed, timed) == 507000
    acl.record(plain, stream)
    acl.sync(stream)
    assert acl.aclrtEventElapsedTime(byref(milliseconds), plain, plain) == 107006


@pytest.mark.parametrize("flags", [0, 0x10, 0x20, 0x41, 0x80])
def test_ex_events_refuse_flags_that_are_not_theirs(acl: Acl, flags: int) -> None:
    """api_error.cc."""
    assert acl.aclrtCreateEventExWithFlag(byref(c_void_p()), flags) == 107000


def test_an_external_event_is_a_flag_set_and_cleared_when_tasks_run(acl: Acl) -> None:
    """capture_event_external: wait blocks until recorded, reset arms it again."""
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


# --- values ---


@pytest.mark.parametrize(
    ("flag", "wanted", "blocking", "releasing"),
    [
        pytest.param(0, 5, 4, 6, id="greater-or-equal"),
        pytest.param(1, 5, 6, 5, id="equal"),
        pytest.param(2, 0b100, 0b011, 0b110, id="and"),
        pytest.param(3, (1 << 64) - 2, 1, 2, id="nor"),
    ],
)
def test_a_value_wait_blocks_until_its_condition_holds(
    acl: Acl, flag: int, wanted: int, blocking: int, releasing: int
) -> None:
    """api_impl.cc: signed >=; ==; and != 0; ~(a | v) != 0."""
    waiter, writer, word = acl.stream(), acl.stream(), acl.buffer()
    acl.ok("aclrtValueWrite", word, blocking, 0, writer)
    acl.sync(writer)
    acl.ok("aclrtValueWait", word, wanted, flag, waiter)
    assert acl.aclrtSynchronizeStreamWithTimeout(waiter, 30) == 507046
    acl.ok("aclrtValueWrite", word, releasing, 0, writer)
    acl.ok("aclrtSynchronizeStreamWithTimeout", waiter, 10000)


def test_a_value_wait_also_sees_what_a_copy_or_fill_wrote(acl: Acl) -> None:
    """A value wait looks at memory, whoever wrote it."""
    waiter, writer, word = acl.stream(), acl.stream(), acl.buffer()
    acl.ok("aclrtValueWait", word, 0x0101010101010101, 1, waiter)
    acl.fill(writer, word, 1)
    acl.ok("aclrtSynchronizeStreamWithTimeout", waiter, 10000)


def test_value_calls_check_their_arguments(acl: Acl) -> None:
    """api_error.cc."""
    stream, word = acl.stream(), acl.buffer()
    host = c_uint64()
    assert acl.aclrtValueWrite(word, 1, 1, stream) == 107000
    assert acl.aclrtValueWait(word, 1, 4, stream) == 107000
    assert acl.aclrtValueWait(ctypes.addressof(host), 1, 1, stream) == 107000
    assert acl.aclrtValueWrite(None, 1, 0, stream) in (100000, 107000)


# --- host functions ---


def test_a_host_function_runs_on_a_thread_of_the_runtime_and_blocks_the_stream(acl: Acl) -> None:
    """aclrtLaunchHostFunc owns its thread."""
    stream, buffer, threads = acl.stream(), acl.buffer(), list[int]()
    gate = acl.block(stream)
    acl.host(stream, lambda: threads.append(threading.get_ident()))
    acl.fill(stream, buffer, 1)
    assert acl.byte(buffer) == 0
    gate.open()
    acl.sync(stream)
    assert threads != [threading.get_ident()]
    assert acl.byte(buffer) == 1


class Reporter:
    """A thread that processes the reports of streams it is subscribed to."""

    def __init__(self, acl: Acl, *streams: c_void_p) -> None:
        self._acl, self._streams, self._stop = acl, streams, False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._ready.wait()
        for stream in streams:
            acl.ok("aclrtSubscribeReport", self._thread.ident, stream)

    def _run(self) -> None:
        self._ready.set()
        while not self._stop:
            self._acl.aclrtProcessReport(10)

    def close(self) -> None:
        for stream in self._streams:
            self._acl.ok("aclrtUnSubscribeReport", self._thread.ident, stream)
        self._stop = True
        self._thread.join()


@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
def test_a_callback_runs_on_the_subscribed_thread_and_can_block_the_stream(
    acl: Acl, captured: bool
) -> None:
    """aclrtLaunchCallback with block type 1."""
    stream, trace, threads = acl.stream(), list[str](), set[int]()

    def called(_: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.02)
        trace.append("callback")

    callback = ctypes.CFUNCTYPE(None, c_void_p)(called)
    reporter = Reporter(acl, stream)
    if captured:
        acl.begin(stream)
    acl.ok("aclrtLaunchCallback", callback, None, 1, stream)
    assert acl.kernel(stream, lambda: trace.append("kernel")) == 0
    if captured:
        graph = acl.end(stream)
        assert trace == []
        acl.execute(graph, stream)
    acl.sync(stream)
    assert trace == ["callback", "kernel"]
    assert threads == {reporter._thread.ident}
    reporter.close()


def test_a_callback_needs_a_subscriber(acl: Acl) -> None:
    """api_impl.cc."""
    callback = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
    assert acl.aclrtLaunchCallback(callback, None, 1, acl.stream()) == 107015


def test_the_two_families_of_host_functions_do_not_mix_on_a_stream(acl: Acl) -> None:
    """api_impl.cc."""
    callback = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
    one, other = acl.stream(), acl.stream()
    reporter = Reporter(acl, one)
    assert acl.aclrtLaunchHostFunc(one, callback, None) == 107011
    acl.host(other, lambda: None)
    assert acl.aclrtSubscribeReport(threading.get_ident(), other) == 107011
    acl.sync(other)
    reporter.close()


def test_processing_reports_checks_its_caller(acl: Acl) -> None:
    """api_error.cc."""
    assert acl.aclrtProcessReport(0) == 100000
    assert acl.aclrtProcessReport(-2) == 100000
    assert acl.aclrtProcessReport(10) == 107012
    stream = acl.stream()
    acl.ok("aclrtSubscribeReport", threading.get_ident(), stream)
    assert acl.aclrtProcessReport(10) == 507012
    acl.ok("aclrtUnSubscribeReport", threading.get_ident(), stream)
