# SPDX-License-Identifier: Apache-2.0
"""What a capture forbids: by its mode, and in every mode."""

import ctypes
from ctypes import byref, c_int, c_void_p

from acl_abi import ACTIVE, GLOBAL, RELAXED, THREAD_LOCAL, Acl, in_thread
from rules import rule


@rule("case 18", "api_error.cc")
def test_synchronizing_or_querying_a_capturing_stream_is_107027(acl: Acl) -> None:
    stream, status = acl.stream(), c_int()
    acl.begin(stream)
    assert acl.aclrtSynchronizeStream(stream) == 107027
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 10) == 107027
    assert acl.aclrtStreamQuery(stream, byref(status)) == 107027
    acl.end(stream)


@rule("case 19", "context.cc")
def test_synchronizing_the_device_during_a_capture_is_107027(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtSynchronizeDevice() == 107027
    acl.end(stream)
    acl.ok("aclrtSynchronizeDevice")


@rule("case 20", "api_error.cc; capture_api_23")
def test_a_capturing_stream_cannot_be_destroyed(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtDestroyStream(stream) == 107027
    assert acl.aclrtDestroyStreamForce(stream) == 107027
    acl.end(stream)
    acl.ok("aclrtDestroyStream", stream)


def copy(acl: Acl, buffer: c_void_p) -> int:
    """Copy synchronously, the operation that capture modes guard."""
    code: int = acl.aclrtMemcpy(buffer, 8, ctypes.create_string_buffer(8), 8, 1)
    return code


@rule("case 21", "api_impl.cc, context_aclgraph.cc")
def test_a_global_capture_forbids_its_thread_to_copy_and_stays_active(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    assert copy(acl, buffer) == 107030
    assert acl.aclrtMemset(buffer, 8, 0, 8) == 107030
    assert acl.info(stream)[0] == ACTIVE
    acl.end(stream)
    assert copy(acl, buffer) == 0


@rule("case 22", "context_aclgraph.cc")
def test_a_global_capture_forbids_other_threads_to_copy_until_they_exchange_their_mode(
    acl: Acl,
) -> None:
    stream, buffer = acl.stream(), acl.buffer()

    def other_thread() -> list[int]:
        before = copy(acl, buffer)
        acl.exchange_mode(THREAD_LOCAL)
        return [before, copy(acl, buffer)]

    acl.begin(stream, GLOBAL)
    assert in_thread(acl, other_thread) == [107030, 0]
    acl.end(stream)


@rule("case 23", "context_aclgraph.cc")
def test_a_thread_local_capture_forbids_only_its_own_thread_to_copy(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, THREAD_LOCAL)
    assert in_thread(acl, lambda: copy(acl, buffer)) == 0
    assert copy(acl, buffer) == 107030
    acl.end(stream)


@rule("case 24", "context_aclgraph.cc")
def test_a_relaxed_capture_forbids_nobody_to_copy(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    assert copy(acl, buffer) == 0
    assert in_thread(acl, lambda: copy(acl, buffer)) == 0
    acl.end(stream)


@rule("section 1.3", "context_aclgraph.cc")
def test_the_capturing_thread_escapes_only_with_the_relaxed_mode(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    before = acl.exchange_mode(THREAD_LOCAL)
    assert copy(acl, buffer) == 107030
    acl.exchange_mode(RELAXED)
    assert copy(acl, buffer) == 0
    acl.exchange_mode(before)
    acl.end(stream)


@rule("case 25", "inner_thread_local.cpp")
def test_exchange_returns_the_mode_before_which_is_global_at_first(acl: Acl) -> None:

    def new_thread() -> list[int]:
        return [acl.exchange_mode(RELAXED), acl.exchange_mode(THREAD_LOCAL)]

    assert in_thread(acl, new_thread) == [GLOBAL, RELAXED]


@rule("section 1.3", "api_error_aclgraph.cc")
def test_exchange_with_a_mode_that_does_not_exist_is_107000(acl: Acl) -> None:
    assert acl.aclmdlRICaptureThreadExchangeMode(byref(c_int(3))) == 107000


@rule("case 26", "api_impl.cc has no guard there")
def test_a_global_capture_allows_to_allocate_and_free(acl: Acl) -> None:
    stream, address = acl.stream(), c_void_p()
    acl.begin(stream, GLOBAL)
    assert acl.aclrtMalloc(byref(address), 64, 0) == 0
    assert acl.aclrtFree(address) == 0
    acl.end(stream)


@rule("case 27", "api_error.cc")
def test_pageable_memory_cannot_be_copied_on_a_capturing_stream(acl: Acl) -> None:
    stream, buffer, pageable = acl.stream(), acl.buffer(), ctypes.create_string_buffer(8)
    acl.begin(stream, RELAXED)
    assert acl.aclrtMemcpyAsync(buffer, 8, pageable, 8, 1, stream) == 107000
    acl.end(stream)


@rule("case 28", "api_error.cc")
def test_pageable_copies_on_another_stream_obey_the_mode_with_107041(acl: Acl) -> None:
    stream, idle, buffer = acl.stream(), acl.stream(), acl.buffer()
    pageable = ctypes.create_string_buffer(8)
    acl.begin(stream, GLOBAL)
    assert acl.aclrtMemcpyAsync(buffer, 8, pageable, 8, 1, idle) == 107041
    acl.end(stream)
