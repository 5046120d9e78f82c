# SPDX-License-Identifier: Apache-2.0
"""Calling work off: of one stream, of a device."""

import ctypes
import threading
import time

import pytest
from acl_abi import Acl, in_thread
from rules import rule

PATIENCE_S = 30  # for a thread to get its turn


@rule("section 3", "StreamAbort, api_impl.cc")
def test_an_aborted_stream_drops_its_work_and_lives_on(acl: Acl) -> None:
    stream, flag, buffer = acl.stream(), acl.buffer(), acl.buffer()
    acl.ok("aclrtValueWait", flag, 1, 1, stream)  # never satisfied
    acl.fill(stream, buffer, 1)
    acl.ok("aclrtStreamAbort", stream)
    acl.sync(stream)
    assert acl.byte(buffer) == 0
    acl.fill(stream, buffer, 2)
    acl.sync(stream)
    assert acl.byte(buffer) == 2


@rule("section 3", "StreamAbort: 107023; DeviceTaskAbort: 107022")
@pytest.mark.parametrize(("whole", "code"), [(False, 107023), (True, 107022)])
def test_who_waits_for_aborted_work_is_told(acl: Acl, whole: bool, code: int) -> None:
    stream, flag = acl.stream(), acl.buffer()
    acl.ok("aclrtValueWait", flag, 1, 1, stream)
    abort = (
        (lambda: acl.aclrtDeviceTaskAbort(0, 0)) if whole else lambda: acl.aclrtStreamAbort(stream)
    )
    timer = threading.Timer(0.2, abort)
    timer.start()
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 20000) == code
    timer.join()
    acl.sync(stream)


@rule("section 3", "StreamAbort: the others go on")
def test_the_abort_of_one_stream_leaves_the_others_alone(acl: Acl) -> None:
    stream, other, flag, buffer = acl.stream(), acl.stream(), acl.buffer(), acl.buffer()
    acl.ok("aclrtValueWait", flag, 1, 1, other)
    acl.fill(other, buffer, 1)
    acl.ok("aclrtStreamAbort", stream)
    acl.ok("aclrtValueWrite", flag, 1, 0, stream)
    acl.sync(other)
    assert acl.byte(buffer) == 1


@rule("section 3", "DeviceTaskAbort: 107022 until it is finished, 107019 when it does not in time")
def test_copies_are_refused_while_a_device_is_aborting(acl: Acl) -> None:
    stream, buffer, host = acl.stream(), acl.buffer(), ctypes.create_string_buffer(8)
    codes: list[int] = []

    def abort() -> None:
        codes.append(in_thread(acl, lambda: acl.aclrtDeviceTaskAbort(0, 0)))

    gate = acl.block(stream)
    gate.wait_until_reached()
    assert acl.aclrtDeviceTaskAbort(0, 20) == 107019  # a host function cannot be interrupted
    aborting = threading.Thread(target=abort)
    aborting.start()
    code, end = 0, time.monotonic() + PATIENCE_S
    while code != 107022 and time.monotonic() < end:
        code = acl.aclrtMemcpy(buffer, 8, host, 8, 1)
    gate.open()
    aborting.join(PATIENCE_S)
    assert codes == [0]
    assert code == 107022
    assert acl.aclrtMemcpy(buffer, 8, host, 8, 1) == 0


@rule("section 1.4", "assumed: as of every call that waits for a capturing stream")
def test_a_capturing_stream_cannot_be_aborted(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtStreamAbort(stream) == 107027
    acl.end(stream)


@rule("section 3", "docs/zh/api_ref, aclrtStreamAbort: null is not supported")
def test_null_is_not_the_default_stream_to_an_abort(acl: Acl) -> None:
    buffer = acl.buffer()
    gate = acl.block(None)
    acl.fill(None, buffer, 1)
    assert acl.aclrtStreamAbort(None) == 100000
    gate.open()
    acl.sync(None)
    assert acl.byte(buffer) == 1


@rule("section 5", "api_error.cc, DeviceTaskAbort")
def test_aborting_a_device_that_does_not_exist_is_107001(acl: Acl) -> None:
    assert acl.aclrtDeviceTaskAbort(1000, 0) == 107001
