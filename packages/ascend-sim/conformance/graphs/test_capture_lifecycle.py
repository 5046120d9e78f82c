# SPDX-License-Identifier: Apache-2.0
"""Begin, end and info of a capture: the checks and their order."""

from ctypes import byref, c_void_p

import pytest
from acl_abi import ACTIVE, GLOBAL, NONE, RELAXED, THREAD_LOCAL, Acl, in_thread
from rules import rule


@rule("case 1", "context_aclgraph.cc; capture_api_02")
def test_info_of_an_idle_stream_is_none_without_a_graph(acl: Acl) -> None:
    status, graph = acl.info(acl.stream())
    assert (status, graph.value) == (NONE, None)


@rule("section 1.2", "NPUGraph.cpp asks on any stream")
def test_info_of_the_default_stream_is_none(acl: Acl) -> None:
    assert acl.info(None)[0] == NONE


@rule("section 1.2", "model_ri.cpp")
def test_info_with_both_places_null_is_100000(acl: Acl) -> None:
    assert acl.aclmdlRICaptureGetInfo(acl.stream(), None, None) == 100000


@rule("case 2", "context_aclgraph.cc; capture_api_06")
def test_begin_again_on_a_capturing_stream_is_107027_and_the_capture_goes_on(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureBegin(stream, GLOBAL) == 107027
    assert acl.info(stream)[0] == ACTIVE
    acl.end(stream)


@rule("case 3", "context_aclgraph.cc; capture_api_06")
def test_end_after_end_is_107029(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    acl.end(stream)
    assert acl.try_end(stream)[0] == 107029


@rule("case 4", "api_impl_aclgraph.cc")
def test_begin_on_the_explicit_default_stream_is_207000(acl: Acl) -> None:
    assert acl.aclmdlRICaptureBegin(acl.default_stream(), GLOBAL) == 207000


@rule("section 1.2", "api_error_aclgraph.cc")
def test_begin_on_null_is_100000(acl: Acl) -> None:
    assert acl.aclmdlRICaptureBegin(None, GLOBAL) == 100000


@rule("case 5", "api_error_aclgraph.cc")
@pytest.mark.parametrize("mode", [-1, 3])
def test_begin_with_a_mode_that_does_not_exist_is_107000(acl: Acl, mode: int) -> None:
    assert acl.aclmdlRICaptureBegin(acl.stream(), mode) == 107000


@rule("section 1.2", "context_aclgraph.cc")
def test_begin_on_a_stream_of_another_context_is_107003(acl: Acl) -> None:
    stream, context = acl.stream(), c_void_p()
    acl.ok("aclrtCreateContext", byref(context), 0)
    assert acl.aclmdlRICaptureBegin(stream, GLOBAL) == 107003
    acl.ok("aclrtDestroyContext", context)
    acl.ok("aclrtSetDevice", 0)


@rule("case 6", "capture_api_mutil_thread")
@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL])
def test_end_by_another_thread_is_107038_and_leaves_a_graph_that_can_be_destroyed(
    acl: Acl, mode: int
) -> None:
    stream = acl.stream()
    acl.begin(stream, mode)
    graph = acl.info(stream)[1]
    code, out = in_thread(acl, lambda: acl.try_end(stream))
    assert (code, out.value) == (107038, None)
    assert acl.info(stream)[0] == NONE
    assert acl.aclmdlRIDestroy(graph) == 0


@rule("case 7", "capture_model_utils.cc")
def test_end_by_another_thread_is_allowed_when_relaxed(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream, RELAXED)
    assert in_thread(acl, lambda: acl.try_end(stream))[0] == 0


@rule("section 1.2", "NPUGraph.cpp compares them")
def test_the_handle_of_end_is_the_one_info_gave_during_the_capture(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    status, during = acl.info(stream)
    assert status == ACTIVE
    assert acl.end(stream).value == during.value


@rule("section 1.2", "api_error_aclgraph.cc")
def test_end_without_a_place_for_the_graph_is_107000_and_the_capture_goes_on(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureEnd(stream, None) == 107000
    acl.end(stream)


@rule("section 1.2", "capture_api_02")
def test_an_empty_capture_is_a_graph_that_executes(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)
