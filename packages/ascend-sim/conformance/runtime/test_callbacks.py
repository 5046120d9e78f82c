# SPDX-License-Identifier: Apache-2.0
"""Host functions and callbacks as work of streams."""

import ctypes
import threading
import time
from ctypes import c_void_p
from typing import Self

import pytest
from acl_abi import Acl
from rules import rule


@rule("section 1.10", "aclrtLaunchHostFunc owns its thread")
def test_a_host_function_runs_on_a_thread_of_the_runtime_and_blocks_the_stream(acl: Acl) -> None:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for stream in self._streams:
            self._acl.ok("aclrtUnSubscribeReport", self._thread.ident, stream)
        self._stop = True
        self._thread.join()

    @property
    def ident(self) -> int | None:
        return self._thread.ident


@rule("section 1.10", "aclrtLaunchCallback with block type 1")
@pytest.mark.parametrize("captured", [False, True], ids=["eager", "captured"])
def test_a_callback_runs_on_the_subscribed_thread_and_can_block_the_stream(
    acl: Acl, captured: bool
) -> None:
    stream, trace, threads = acl.stream(), list[str](), set[int]()

    def called(_: int) -> None:
        threads.add(threading.get_ident())
        time.sleep(0.02)
        trace.append("callback")

    callback = ctypes.CFUNCTYPE(None, c_void_p)(called)
    with Reporter(acl, stream) as reporter:
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
        assert threads == {reporter.ident}


@rule("section 1.10", "api_impl.cc")
def test_a_callback_needs_a_subscriber(acl: Acl) -> None:
    callback = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
    assert acl.aclrtLaunchCallback(callback, None, 1, acl.stream()) == 107015


@rule("section 1.10", "api_impl.cc")
def test_the_two_families_of_host_functions_do_not_mix_on_a_stream(acl: Acl) -> None:
    callback = ctypes.CFUNCTYPE(None, c_void_p)(lambda _: None)
    one, other = acl.stream(), acl.stream()
    with Reporter(acl, one):
        assert acl.aclrtLaunchHostFunc(one, callback, None) == 107011
        acl.host(other, lambda: None)
        assert acl.aclrtSubscribeReport(threading.get_ident(), other) == 107011
        acl.sync(other)


@rule("section 1.10", "api_error.cc")
def test_processing_reports_checks_its_caller(acl: Acl) -> None:
    assert acl.aclrtProcessReport(0) == 100000
    assert acl.aclrtProcessReport(-2) == 100000
    assert acl.aclrtProcessReport(10) == 107012
    stream = acl.stream()
    acl.ok("aclrtSubscribeReport", threading.get_ident(), stream)
    assert acl.aclrtProcessReport(10) == 507012
    acl.ok("aclrtUnSubscribeReport", threading.get_ident(), stream)
