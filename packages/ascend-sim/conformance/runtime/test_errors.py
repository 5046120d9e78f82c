# SPDX-License-Identifier: Apache-2.0
"""Failing tasks, failure modes and what is reported of an error."""

import threading

from acl_abi import Acl
from rules import rule


@rule("section 3", "507015, stored with the device")
def test_a_failing_kernel_surfaces_at_the_next_synchronization_and_stays_until_reset(
    acl: Acl,
) -> None:
    stream = acl.stream()
    assert acl.kernel(stream, result=42) == 0  # the launch itself succeeds
    assert acl.aclrtSynchronizeStream(stream) == 507015
    text = acl.message()
    assert "ascendSimLaunchHostTask" in text
    assert "42" in text
    assert acl.aclrtSynchronizeDevice() == 507015
    assert acl.aclrtSynchronizeStream(acl.stream()) == 507015
    acl.ok("aclrtResetDeviceForce", 0)
    acl.ok("aclrtSetDevice", 0)
    acl.ok("aclrtSynchronizeDevice")


@rule("section 3", "a kernel has its own code, not that of graphs")
def test_a_kernel_that_fails_in_a_replay_surfaces_in_the_same_way(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.kernel(stream, result=1) == 0
    graph = acl.end(stream)
    acl.execute(graph, stream)
    assert acl.aclrtSynchronizeStream(stream) == 507015


@rule("section 3", "CONTINUE_ON_FAILURE, the default")
def test_a_context_that_continues_runs_the_work_after_a_failure(acl: Acl) -> None:
    stream, trace = acl.stream(), list[str]()
    assert acl.kernel(stream, result=1) == 0
    assert acl.kernel(stream, lambda: trace.append("after")) == 0
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert trace == ["after"]


@rule("section 3", "STOP_ON_FAILURE, of the whole context and for good")
def test_a_context_that_stops_on_failure_drops_the_work_after_it(acl: Acl) -> None:
    stream, other, trace = acl.stream(), acl.stream(), list[str]()
    acl.ok("aclrtSetStreamFailureMode", stream, 1)
    acl.ok("aclrtSetStreamFailureMode", other, 1)
    assert acl.aclrtSetStreamFailureMode(other, 0) == 207000
    assert acl.aclrtSetStreamFailureMode(other, 2) == 107000
    gate = acl.block(stream)
    assert acl.kernel(stream, result=1) == 0
    assert acl.kernel(stream, lambda: trace.append("after")) == 0
    gate.open()
    assert acl.aclrtSynchronizeStream(stream) == 507015
    assert trace == []
    assert acl.kernel(other) == 507015


@rule("section 6", "error_manager.cc: [PID: <n>] <time> <title>(<code>): <text>")
def test_the_text_of_an_error_is_of_its_thread_fetched_once_and_in_canns_shape(acl: Acl) -> None:
    texts = []

    def run() -> None:
        acl.aclrtFree(None)
        texts.append(acl.message())
        texts.append(acl.message())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert acl.message() == ""
    first, again = texts
    assert first.startswith("[PID: ")
    assert "(EE1004): aclrtFree failed: devPtr is null" in first
    assert "ACL_ERROR_INVALID_PARAM" in first
    assert again == ""


@rule("section 6", "Per thread")
def test_the_last_error_is_kept_by_peek_and_cleared_by_get(acl: Acl) -> None:
    acl.aclrtGetLastError(0)
    acl.aclrtFree(None)
    assert acl.aclrtPeekAtLastError(0) == 100000
    assert acl.aclrtGetLastError(0) == 100000
    assert acl.aclrtGetLastError(0) == 0
