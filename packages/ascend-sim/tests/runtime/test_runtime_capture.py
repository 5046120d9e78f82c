# SPDX-License-Identifier: Apache-2.0
"""Capturing streams into graphs: the state machine, its checks and their order, forks and joins.

Each docstring names where the rule was read: a file or a unit test of CANN's runtime
(hicann/runtime) or of torch_npu.
"""

import ctypes
from ctypes import byref, c_int, c_void_p

import pytest
from acl_abi import GLOBAL, RELAXED, THREAD_LOCAL, Acl, in_thread

NONE, ACTIVE, INVALIDATED = range(3)


# --- begin, end, info ---


def test_info_of_an_idle_stream_is_none_without_a_graph(acl: Acl) -> None:
    """context_aclgraph.cc; capture_api_02."""
    status, graph = acl.info(acl.stream())
    assert (status, graph.value) == (NONE, None)


def test_info_of_the_default_stream_is_none(acl: Acl) -> None:
    """NPUGraph.cpp asks on any stream."""
    assert acl.info(None)[0] == NONE


def test_info_with_both_places_null_is_100000(acl: Acl) -> None:
    """model_ri.cpp."""
    assert acl.aclmdlRICaptureGetInfo(acl.stream(), None, None) == 100000


def test_begin_again_on_a_capturing_stream_is_107027_and_the_capture_goes_on(acl: Acl) -> None:
    """context_aclgraph.cc; capture_api_06."""
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureBegin(stream, GLOBAL) == 107027
    assert acl.info(stream)[0] == ACTIVE
    acl.end(stream)


def test_end_after_end_is_107029(acl: Acl) -> None:
    """context_aclgraph.cc; capture_api_06."""
    stream = acl.stream()
    acl.begin(stream)
    acl.end(stream)
    assert acl.try_end(stream)[0] == 107029


def test_begin_on_the_explicit_default_stream_is_207000(acl: Acl) -> None:
    """api_impl_aclgraph.cc."""
    assert acl.aclmdlRICaptureBegin(acl.default_stream(), GLOBAL) == 207000


def test_begin_on_null_is_100000(acl: Acl) -> None:
    """api_error_aclgraph.cc."""
    assert acl.aclmdlRICaptureBegin(None, GLOBAL) == 100000


@pytest.mark.parametrize("mode", [-1, 3])
def test_begin_with_a_mode_that_does_not_exist_is_107000(acl: Acl, mode: int) -> None:
    """api_error_aclgraph.cc."""
    assert acl.aclmdlRICaptureBegin(acl.stream(), mode) == 107000


def test_begin_on_a_stream_of_another_context_is_107003(acl: Acl) -> None:
    """context_aclgraph.cc."""
    stream, context = acl.stream(), c_void_p()
    acl.ok("aclrtCreateContext", byref(context), 0)
    assert acl.aclmdlRICaptureBegin(stream, GLOBAL) == 107003
    acl.ok("aclrtDestroyContext", context)
    acl.ok("aclrtSetDevice", 0)


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL])
def test_end_by_another_thread_is_107038_and_leaves_a_graph_that_can_be_destroyed(
    acl: Acl, mode: int
) -> None:
    """capture_api_mutil_thread."""
    stream = acl.stream()
    acl.begin(stream, mode)
    graph = acl.info(stream)[1]
    code, out = in_thread(acl, lambda: acl.try_end(stream))
    assert (code, out.value) == (107038, None)
    assert acl.info(stream)[0] == NONE
    assert acl.aclmdlRIDestroy(graph) == 0


def test_end_by_another_thread_is_allowed_when_relaxed(acl: Acl) -> None:
    """capture_model_utils.cc."""
    stream = acl.stream()
    acl.begin(stream, RELAXED)
    assert in_thread(acl, lambda: acl.try_end(stream))[0] == 0


def test_the_handle_of_end_is_the_one_info_gave_during_the_capture(acl: Acl) -> None:
    """NPUGraph.cpp compares them."""
    stream = acl.stream()
    acl.begin(stream)
    status, during = acl.info(stream)
    assert status == ACTIVE
    assert acl.end(stream).value == during.value


def test_end_without_a_place_for_the_graph_is_107000_and_the_capture_goes_on(acl: Acl) -> None:
    """api_error_aclgraph.cc."""
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureEnd(stream, None) == 107000
    acl.end(stream)


def test_an_empty_capture_is_a_graph_that_executes(acl: Acl) -> None:
    """capture_api_02."""
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)


def test_captured_work_runs_at_replay_and_not_before(acl: Acl) -> None:
    """aclgraph.md."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream)
    acl.fill(stream, buffer, 7)
    graph = acl.end(stream)
    acl.ok("aclrtSynchronizeDevice")
    assert acl.byte(buffer) == 0
    for _ in range(2):
        acl.fill(stream, buffer, 0)
        acl.execute(graph, stream)
        acl.sync(stream)
        assert acl.byte(buffer) == 7


# --- forks and joins ---


def test_end_on_a_forked_stream_is_107036_and_the_origin_can_still_end(acl: Acl) -> None:
    """context_aclgraph.cc."""
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    acl.fork(origin, branch)
    assert acl.try_end(branch)[0] == 107036
    assert acl.info(branch)[0] == ACTIVE
    acl.join(branch, origin)
    acl.end(origin)


def test_a_fork_without_a_join_fails_the_end_with_107025_and_no_graph(acl: Acl) -> None:
    """context_aclgraph.cc."""
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    graph = acl.info(origin)[1]
    acl.fork(origin, branch)
    code, out = acl.try_end(origin)
    assert (code, out.value) == (107025, None)
    assert acl.info(branch)[0] == NONE
    assert acl.aclmdlRIDestroy(graph) == 107017
    assert acl.aclmdlRIDestroy(out) == 100000


def test_work_after_the_join_record_breaks_the_join(acl: Acl) -> None:
    """v100/capture_adapt_v100.cc."""
    origin, branch, buffer = acl.stream(), acl.stream(), acl.buffer()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.join(branch, origin)
    acl.fill(branch, buffer, 1)
    assert acl.try_end(origin)[0] == 107025


def test_a_fork_with_a_join_ends_well_and_frees_both_streams(acl: Acl) -> None:
    """context_aclgraph.cc."""
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    acl.fork(origin, branch)
    assert acl.info(branch)[0] == ACTIVE
    acl.join(branch, origin)
    acl.end(origin)
    assert [acl.info(stream)[0] for stream in (origin, branch)] == [NONE, NONE]


def test_a_chain_of_forks_may_join_one_into_the_next(acl: Acl) -> None:
    """v100/capture_adapt_v100.cc."""
    first, second, third = acl.stream(), acl.stream(), acl.stream()
    acl.begin(first)
    acl.fork(first, second)
    acl.fork(second, third)
    acl.join(third, second)
    acl.join(second, first)
    acl.end(first)


def test_waiting_in_one_capture_for_an_event_of_another_invalidates_both(acl: Acl) -> None:
    """v100/api_impl_capture_event.cc, capture_model_utils.cc."""
    one, other, event = acl.stream(), acl.stream(), acl.event()
    acl.begin(one, RELAXED)
    acl.begin(other, RELAXED)
    acl.record(event, one)
    assert acl.aclrtStreamWaitEvent(other, event) == 107032
    assert [acl.info(stream)[0] for stream in (one, other)] == [INVALIDATED, INVALIDATED]
    assert [acl.try_end(stream)[0] for stream in (one, other)] == [507903, 507903]


def test_an_invalidated_capture_swallows_later_work(acl: Acl) -> None:
    """stream_capture.cc."""
    one, other, event, buffer = acl.stream(), acl.stream(), acl.event(), acl.buffer()
    acl.begin(one, RELAXED)
    acl.begin(other, RELAXED)
    acl.record(event, one)
    assert acl.aclrtStreamWaitEvent(other, event) == 107032
    acl.fill(one, buffer, 9)
    assert acl.try_end(one)[0] == 507903
    acl.sync(one)
    assert acl.byte(buffer) == 0
    assert acl.try_end(other)[0] == 507903


def test_a_graph_cannot_wait_for_an_event_recorded_outside(acl: Acl) -> None:
    """api_impl.cc; capture_event_not_support."""
    stream, event = acl.stream(), acl.event()
    acl.record(event, stream)
    acl.begin(stream)
    assert acl.aclrtStreamWaitEvent(stream, event) == 107024
    acl.end(stream)


def test_waiting_for_a_never_recorded_event_in_a_capture_does_nothing(acl: Acl) -> None:
    """event.cc."""
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    acl.wait(stream, event)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)


def test_old_events_cannot_be_recorded_in_a_capture(acl: Acl) -> None:
    """api_impl.cc."""
    stream, event = acl.stream(), acl.old_event()
    acl.begin(stream)
    assert acl.aclrtRecordEvent(event, stream) == 207000
    acl.end(stream)


def test_recording_an_event_without_the_sync_flag_adds_nothing(acl: Acl) -> None:
    """api_impl.cc."""
    stream, event, other = acl.stream(), acl.event(flags=0x8), acl.stream()
    acl.begin(stream)
    acl.record(event, stream)
    acl.wait(other, event)  # no fork: the event is not part of the capture
    assert acl.info(other)[0] == NONE
    acl.end(stream)


def test_the_default_stream_cannot_be_drawn_into_a_capture(acl: Acl) -> None:
    """api_impl.cc."""
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    acl.record(event, stream)
    assert acl.aclrtStreamWaitEvent(None, event) == 107031
    assert acl.aclrtStreamWaitEvent(acl.default_stream(), event) == 107031
    acl.end(stream)


def test_captured_events_cannot_be_asked_or_awaited_by_the_host(acl: Acl) -> None:
    """api_impl_event_common.cc."""
    stream, event, status = acl.stream(), acl.event(0x9), c_int()
    acl.begin(stream)
    acl.record(event, stream)
    assert acl.aclrtQueryEventStatus(event, byref(status)) == 107028
    assert acl.aclrtSynchronizeEvent(event) == 107028
    assert acl.aclrtEventElapsedTime(byref(ctypes.c_float()), event, event) == 107028
    acl.end(stream)
    assert acl.complete(event)  # back outside, where it was never recorded


# --- what a capture forbids ---


def test_synchronizing_or_querying_a_capturing_stream_is_107027(acl: Acl) -> None:
    """api_error.cc."""
    stream, status = acl.stream(), c_int()
    acl.begin(stream)
    assert acl.aclrtSynchronizeStream(stream) == 107027
    assert acl.aclrtSynchronizeStreamWithTimeout(stream, 10) == 107027
    assert acl.aclrtStreamQuery(stream, byref(status)) == 107027
    acl.end(stream)


def test_synchronizing_the_device_during_a_capture_is_107027(acl: Acl) -> None:
    """context.cc."""
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtSynchronizeDevice() == 107027
    acl.end(stream)
    acl.ok("aclrtSynchronizeDevice")


def test_a_capturing_stream_cannot_be_destroyed(acl: Acl) -> None:
    """api_error.cc; capture_api_23."""
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclrtDestroyStream(stream) == 107027
    assert acl.aclrtDestroyStreamForce(stream) == 107027
    acl.end(stream)
    acl.ok("aclrtDestroyStream", stream)


def copy(acl: Acl, buffer: c_void_p) -> int:
    """Copy synchronously, the operation that capture modes guard."""
    return acl.aclrtMemcpy(buffer, 8, ctypes.create_string_buffer(8), 8, 1)


def test_a_global_capture_forbids_its_thread_to_copy_and_stays_active(acl: Acl) -> None:
    """api_impl.cc, context_aclgraph.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    assert copy(acl, buffer) == 107030
    assert acl.aclrtMemset(buffer, 8, 0, 8) == 107030
    assert acl.info(stream)[0] == ACTIVE
    acl.end(stream)
    assert copy(acl, buffer) == 0


def test_a_global_capture_forbids_other_threads_to_copy_until_they_exchange_their_mode(
    acl: Acl,
) -> None:
    """context_aclgraph.cc."""
    stream, buffer = acl.stream(), acl.buffer()

    def other_thread() -> list[int]:
        before = copy(acl, buffer)
        acl.exchange_mode(THREAD_LOCAL)
        return [before, copy(acl, buffer)]

    acl.begin(stream, GLOBAL)
    assert in_thread(acl, other_thread) == [107030, 0]
    acl.end(stream)


def test_a_thread_local_capture_forbids_only_its_own_thread_to_copy(acl: Acl) -> None:
    """context_aclgraph.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, THREAD_LOCAL)
    assert in_thread(acl, lambda: copy(acl, buffer)) == 0
    assert copy(acl, buffer) == 107030
    acl.end(stream)


def test_a_relaxed_capture_forbids_nobody_to_copy(acl: Acl) -> None:
    """context_aclgraph.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    assert copy(acl, buffer) == 0
    assert in_thread(acl, lambda: copy(acl, buffer)) == 0
    acl.end(stream)


def test_the_capturing_thread_escapes_only_with_the_relaxed_mode(acl: Acl) -> None:
    """context_aclgraph.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    before = acl.exchange_mode(THREAD_LOCAL)
    assert copy(acl, buffer) == 107030
    acl.exchange_mode(RELAXED)
    assert copy(acl, buffer) == 0
    acl.exchange_mode(before)
    acl.end(stream)


def test_exchange_returns_the_mode_before_which_is_global_at_first(acl: Acl) -> None:
    """inner_thread_local.cpp."""

    def new_thread() -> list[int]:
        return [acl.exchange_mode(RELAXED), acl.exchange_mode(THREAD_LOCAL)]

    assert in_thread(acl, new_thread) == [GLOBAL, RELAXED]


def test_exchange_with_a_mode_that_does_not_exist_is_107000(acl: Acl) -> None:
    """api_error_aclgraph.cc."""
    assert acl.aclmdlRICaptureThreadExchangeMode(byref(c_int(3))) == 107000


def test_a_global_capture_allows_to_allocate_and_free(acl: Acl) -> None:
    """api_impl.cc has no guard there."""
    stream, address = acl.stream(), c_void_p()
    acl.begin(stream, GLOBAL)
    assert acl.aclrtMalloc(byref(address), 64, 0) == 0
    assert acl.aclrtFree(address) == 0
    acl.end(stream)


def test_pageable_memory_cannot_be_copied_on_a_capturing_stream(acl: Acl) -> None:
    """api_error.cc."""
    stream, buffer, pageable = acl.stream(), acl.buffer(), ctypes.create_string_buffer(8)
    acl.begin(stream, RELAXED)
    assert acl.aclrtMemcpyAsync(buffer, 8, pageable, 8, 1, stream) == 107000
    acl.end(stream)


def test_pageable_copies_on_another_stream_obey_the_mode_with_107041(acl: Acl) -> None:
    """api_error.cc."""
    stream, idle, buffer = acl.stream(), acl.stream(), acl.buffer()
    pageable = ctypes.create_string_buffer(8)
    acl.begin(stream, GLOBAL)
    assert acl.aclrtMemcpyAsync(buffer, 8, pageable, 8, 1, idle) == 107041
    acl.end(stream)


def test_an_external_event_is_a_node_and_draws_no_stream_in(acl: Acl) -> None:
    """capture_event_external2."""
    origin, other, event = acl.stream(), acl.stream(), acl.external_event()
    acl.begin(origin)
    acl.record(event, origin)
    acl.wait(other, event)
    assert acl.info(other)[0] == NONE
    graph = acl.end(origin)
    acl.execute(graph, origin)
    acl.sync(other)  # the wait on it ends with the replay
