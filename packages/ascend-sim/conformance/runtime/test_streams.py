# SPDX-License-Identifier: Apache-2.0
"""Streams under real asynchrony."""

import time
from ctypes import byref, c_int, c_int32, c_uint64, c_void_p
from functools import partial

import pytest
from acl_abi import Acl
from rules import rule


@rule("section 3", "A test that forgets to synchronize must be able to fail")
def test_work_is_asynchronous_and_a_forgotten_synchronization_shows_stale_data(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    gate = acl.block(stream)
    acl.fill(stream, buffer, 1)
    assert acl.byte(buffer) == 0  # stale: aclrtMemcpy does not wait for streams
    gate.open()
    acl.sync(stream)
    assert acl.byte(buffer) == 1


@rule("section 3", "Strict FIFO within a stream")
def test_a_stream_keeps_the_order_of_its_work(acl: Acl) -> None:
    stream, trace = acl.stream(), list[int]()
    for number in range(200):
        assert acl.kernel(stream, partial(trace.append, number)) == 0
    acl.sync(stream)
    assert trace == list(range(200))


@rule("section 3", "None across streams except by events, notifies and values")
def test_streams_do_not_wait_for_each_other(acl: Acl) -> None:
    blocked, free, buffer = acl.stream(), acl.stream(), acl.buffer()
    gate = acl.block(blocked)
    acl.fill(free, buffer, 1)
    acl.sync(free)
    assert acl.byte(buffer) == 1
    gate.open()


@rule("section 3", "COMPLETE 0, NOT_READY 1")
def test_query_tells_whether_a_stream_is_busy(acl: Acl) -> None:
    stream, status = acl.stream(), c_int()
    gate = acl.block(stream)
    acl.ok("aclrtStreamQuery", stream, byref(status))
    assert status.value == 1
    gate.open()
    acl.sync(stream)
    acl.ok("aclrtStreamQuery", stream, byref(status))
    assert status.value == 0


@rule("case 60", "api_error.cc")
@pytest.mark.parametrize("timeout", [0, -2])
def test_a_timeout_that_is_not_valid_is_107000(acl: Acl, timeout: int) -> None:
    assert acl.aclrtSynchronizeStreamWithTimeout(acl.stream(), timeout) == 107000
    assert acl.aclrtSynchronizeDeviceWithTimeout(timeout) == 107000
    assert acl.aclrtSynchronizeEventWithTimeout(acl.event(), timeout) == 107000


@rule("case 60", "stream.cc")
def test_synchronizing_a_busy_stream_times_out_with_507046(acl: Acl) -> None:
    stream = acl.stream()
    gate = acl.block(stream)
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20) == 507046
    assert acl.aclrtSynchronizeDeviceWithTimeout(20) == 507046
    gate.open()
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, -1)


@rule("section 3", "api_impl.cc")
def test_destroying_a_stream_finishes_its_work(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.host(stream, lambda: time.sleep(0.05))
    acl.fill(stream, buffer, 1)
    acl.ok("aclrtDestroyStream", stream)
    assert acl.byte(buffer) == 1


@rule("section 3", "api_impl.cc")
def test_destroying_a_stream_by_force_drops_its_work_even_if_it_waits(acl: Acl) -> None:
    stream, buffer, flag = acl.stream(), acl.buffer(), acl.buffer()
    acl.ok("aclrtValueWait", flag, 1, 1, stream)  # never satisfied
    acl.fill(stream, buffer, 1)
    acl.ok("aclrtDestroyStreamForce", stream)
    assert acl.byte(buffer) == 0


@rule("layers", "runtime_handle_guard.cc")
@pytest.mark.parametrize(
    "call", ["aclrtDestroyStream", "aclrtSynchronizeStream", "aclmdlRICaptureTaskGrpBegin"]
)
def test_a_destroyed_stream_is_an_invalid_handle(acl: Acl, call: str) -> None:
    stream = acl.stream()
    acl.ok("aclrtDestroyStream", stream)
    assert getattr(acl, call)(stream) == 107017


@rule("layers", "runtime_handle_guard.cc checks magic numbers")
def test_a_handle_of_another_kind_is_invalid(acl: Acl) -> None:
    assert acl.aclrtSynchronizeStream(acl.event()) == 107017
    assert acl.aclrtDestroyEvent(acl.stream()) == 107017
    assert acl.aclrtSynchronizeStream(c_void_p(0x1234)) == 107017


@rule("section 3", "api_impl.cc")
def test_streams_have_different_ids(acl: Acl) -> None:
    ids = []
    for _ in range(2):
        number = c_int32()
        acl.ok("aclrtStreamGetId", acl.stream(), byref(number))
        ids.append(number.value)
    assert ids[0] != ids[1]


@rule(
    "torch_npu",
    "NPUGraph.cpp sets 4 before each capture and tolerates this code",
)
def test_stream_attributes_that_are_not_simulated_are_107000(acl: Acl) -> None:
    stream, value = acl.stream(), (c_uint64 * 2)(1, 0)
    assert acl.aclrtSetStreamAttribute(stream, 4, value) == 0
    assert acl.aclrtSetStreamAttribute(stream, 99, value) == 107000
    assert acl.aclrtSetStreamAttribute(stream, 1, None) == 100000
