# SPDX-License-Identifier: Apache-2.0
"""Streams drawn into a capture: forks, joins, conflicts."""

from acl_abi import ACTIVE, INVALIDATED, NONE, RELAXED, Acl
from rules import rule


@rule("case 8", "context_aclgraph.cc")
def test_end_on_a_forked_stream_is_107036_and_the_origin_can_still_end(acl: Acl) -> None:
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    acl.fork(origin, branch)
    assert acl.try_end(branch)[0] == 107036
    assert acl.info(branch)[0] == ACTIVE
    acl.join(branch, origin)
    acl.end(origin)


@rule("case 9", "context_aclgraph.cc")
def test_a_fork_without_a_join_fails_the_end_with_107025_and_no_graph(acl: Acl) -> None:
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    graph = acl.info(origin)[1]
    acl.fork(origin, branch)
    code, out = acl.try_end(origin)
    assert (code, out.value) == (107025, None)
    assert acl.info(branch)[0] == NONE
    assert acl.aclmdlRIDestroy(graph) == 107017
    assert acl.aclmdlRIDestroy(out) == 100000


@rule("case 9", "context_aclgraph.cc: every stream that was drawn in")
def test_one_stream_that_is_not_joined_fails_the_end_though_another_one_is(acl: Acl) -> None:
    origin, joined, forgotten = acl.stream(), acl.stream(), acl.stream()
    acl.begin(origin)
    acl.fork(origin, joined)
    acl.fork(origin, forgotten)
    acl.join(joined, origin)
    assert acl.try_end(origin)[0] == 107025
    assert [acl.info(stream)[0] for stream in (origin, joined, forgotten)] == [NONE] * 3


@rule("case 10", "v100/capture_adapt_v100.cc")
def test_work_after_the_join_record_breaks_the_join(acl: Acl) -> None:
    origin, branch, buffer = acl.stream(), acl.stream(), acl.buffer()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.join(branch, origin)
    acl.fill(branch, buffer, 1)
    assert acl.try_end(origin)[0] == 107025


@rule("case 11", "context_aclgraph.cc")
def test_a_fork_with_a_join_ends_well_and_frees_both_streams(acl: Acl) -> None:
    origin, branch = acl.stream(), acl.stream()
    acl.begin(origin)
    acl.fork(origin, branch)
    assert acl.info(branch)[0] == ACTIVE
    acl.join(branch, origin)
    acl.end(origin)
    assert [acl.info(stream)[0] for stream in (origin, branch)] == [NONE, NONE]


@rule("section 1.6", "v100/capture_adapt_v100.cc")
def test_a_chain_of_forks_may_join_one_into_the_next(acl: Acl) -> None:
    first, second, third = acl.stream(), acl.stream(), acl.stream()
    acl.begin(first)
    acl.fork(first, second)
    acl.fork(second, third)
    acl.join(third, second)
    acl.join(second, first)
    acl.end(first)


@rule("case 12", "v100/api_impl_capture_event.cc, capture_model_utils.cc")
def test_waiting_in_one_capture_for_an_event_of_another_invalidates_both(acl: Acl) -> None:
    one, other, event = acl.stream(), acl.stream(), acl.event()
    acl.begin(one, RELAXED)
    acl.begin(other, RELAXED)
    acl.record(event, one)
    assert acl.aclrtStreamWaitEvent(other, event) == 107032
    assert [acl.info(stream)[0] for stream in (one, other)] == [INVALIDATED, INVALIDATED]
    assert [acl.try_end(stream)[0] for stream in (one, other)] == [507903, 507903]


@rule("section 1.5", "stream_capture.cc")
def test_an_invalidated_capture_swallows_later_work(acl: Acl) -> None:
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
