# SPDX-License-Identifier: Apache-2.0
"""Task groups and their updates."""

from ctypes import byref, c_void_p
from functools import partial

from acl_abi import Acl
from own_process import own_process
from rules import rule


@rule("case 29", "task_group_no_captured")
def test_task_groups_need_a_capture(acl: Acl) -> None:
    stream, handle = acl.stream(), c_void_p()
    assert acl.aclmdlRICaptureTaskGrpBegin(stream) == 107029
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 107029


@rule("case 30", "task_group_repeat")
def test_a_group_cannot_be_opened_or_closed_twice(acl: Acl) -> None:
    stream, handle = acl.stream(), c_void_p()
    acl.begin(stream)
    acl.begin_group(stream)
    assert acl.aclmdlRICaptureTaskGrpBegin(stream) == 107033
    acl.end_group(stream)
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 107033
    acl.end(stream)


@rule("case 31", "task_group_unclosed")
def test_an_open_group_fails_the_end_with_107033_and_no_graph(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    acl.begin_group(stream)
    code, graph = acl.try_end(stream)
    assert (code, graph.value) == (107033, None)


@rule("case 32", "stream_capture.cc, stream.cc")
def test_work_on_another_stream_of_the_graph_breaks_an_open_group(acl: Acl) -> None:
    origin, branch, handle = acl.stream(), acl.stream(), c_void_p()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.begin_group(origin)
    assert acl.kernel(branch) == 107034
    assert acl.aclmdlRICaptureTaskGrpEnd(origin, byref(handle)) == 107034
    assert handle.value is None
    assert acl.try_end(origin)[0] == 507903


@rule("case 33", "stream.cc, PackingTaskGroup")
def test_only_kernels_can_be_in_a_group(acl: Acl) -> None:
    stream, buffer, handle = acl.stream(), acl.buffer(), c_void_p()
    acl.begin(stream)
    acl.begin_group(stream)
    assert acl.aclrtMemsetAsync(buffer, 8, 0, 8, stream) == 507009
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 507009
    assert acl.try_end(stream)[0] == 507903


class Grouped:
    """A graph on a stream of its own with one group of kernels that append to `trace`."""

    def __init__(self, acl: Acl, kernels: int = 1) -> None:
        self.stream, self.trace = acl.stream(), list[str]()
        acl.begin(self.stream)
        acl.begin_group(self.stream)
        for number in range(kernels):
            assert acl.kernel(self.stream, partial(self.trace.append, f"old{number}")) == 0
        self.group = acl.end_group(self.stream)
        self.graph = acl.end(self.stream)

    def replay(self, acl: Acl) -> list[str]:
        """Execute and return what the kernels of this replay left."""
        self.trace.clear()
        acl.execute(self.graph, self.stream)
        acl.sync(self.stream)
        return list(self.trace)


@rule("case 35", "api_error_aclgraph.cc")
def test_a_capturing_stream_cannot_update(acl: Acl) -> None:
    grouped, stream = Grouped(acl), acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, grouped.group) == 107027
    acl.end(stream)


@rule("case 36", "context_aclgraph.cc")
def test_a_stream_updates_one_group_at_a_time(acl: Acl) -> None:
    one, other, stream = Grouped(acl), Grouped(acl), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, one.group)
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, one.group) == 107033
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, other.group) == 107033
    assert acl.aclmdlRICaptureTaskUpdateBegin(acl.stream(), one.group) == 107033
    assert acl.kernel(stream) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


@rule("case 37", "stream.cc, UpdateTask; task_group_update_1")
def test_more_kernels_than_the_group_has_are_507000(acl: Acl) -> None:
    grouped, stream = Grouped(acl, kernels=1), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream) == 0
    assert acl.kernel(stream) == 507000
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


@rule("case 38", "context_aclgraph.cc")
def test_fewer_kernels_than_the_group_has_are_507000_at_the_end(acl: Acl) -> None:
    grouped, stream = Grouped(acl, kernels=2), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream) == 0
    assert acl.aclmdlRICaptureTaskUpdateEnd(stream) == 507000
    assert acl.aclmdlRICaptureTaskUpdateEnd(stream) == 107033  # the state was reset anyway


@rule("case 39", "stream.cc, AllocTask")
def test_only_kernels_can_update(acl: Acl) -> None:
    grouped, stream, buffer = Grouped(acl), acl.stream(), acl.buffer()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.aclrtMemsetAsync(buffer, 8, 0, 8, stream) == 507009
    assert acl.kernel(stream) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


@rule("case 40", "task_group_update_3")
def test_ending_an_update_that_was_not_begun_is_107033(acl: Acl) -> None:
    assert acl.aclmdlRICaptureTaskUpdateEnd(acl.stream()) == 107033


@rule("section 1.7", "context_aclgraph.cc")
def test_an_update_replaces_kernels_in_order_and_launches_nothing(acl: Acl) -> None:
    grouped, stream = Grouped(acl, kernels=2), acl.stream()
    assert grouped.replay(acl) == ["old0", "old1"]
    grouped.trace.clear()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream, lambda: grouped.trace.append("new0")) == 0
    assert acl.kernel(stream, lambda: grouped.trace.append("new1")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)
    acl.sync(stream)
    assert grouped.trace == []
    assert grouped.replay(acl) == ["new0", "new1"]
    assert grouped.replay(acl) == ["new0", "new1"]


@rule("section 1.7", "context_aclgraph.cc")
def test_the_stream_that_was_captured_may_update(acl: Acl) -> None:
    grouped = Grouped(acl)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", grouped.stream, grouped.group)
    assert acl.kernel(grouped.stream, lambda: grouped.trace.append("new")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", grouped.stream)
    assert grouped.replay(acl) == ["new"]


@rule("case 41", "launch/aix_stars.cc: updates are asynchronous work of the updating stream")
def test_an_update_that_is_not_ordered_before_a_replay_comes_too_late(acl: Acl) -> None:
    grouped, stream = Grouped(acl), acl.stream()
    gate = acl.block(stream)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream, lambda: grouped.trace.append("new")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)
    assert grouped.replay(acl) == ["old0"]
    gate.open()
    acl.sync(stream)
    assert grouped.replay(acl) == ["new"]


@rule("case 41", "launch/aix_stars.cc")
def test_an_update_that_an_event_orders_before_a_replay_is_seen(acl: Acl) -> None:
    grouped, stream, updated = Grouped(acl), acl.stream(), acl.event()
    gate = acl.block(stream)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream, lambda: grouped.trace.append("new")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)
    acl.record(updated, stream)
    acl.wait(grouped.stream, updated)
    acl.execute(grouped.graph, grouped.stream)
    gate.open()
    acl.sync(grouped.stream)
    assert grouped.trace == ["new"]


@rule("section 1.7", "NPUGraph.cpp orders updates so")
def test_a_running_replay_that_waits_for_a_value_sees_the_update_made_meanwhile(acl: Acl) -> None:
    stream, updates, flag, trace = acl.stream(), acl.stream(), acl.buffer(), list[str]()
    acl.begin(stream)
    acl.ok("aclrtValueWait", flag, 1, 1, stream)
    acl.ok("aclrtValueWrite", flag, 0, 0, stream)
    acl.begin_group(stream)
    assert acl.kernel(stream, lambda: trace.append("old")) == 0
    group = acl.end_group(stream)
    graph = acl.end(stream)
    for step in ("first", "second"):
        acl.execute(graph, stream)
        acl.ok("aclmdlRICaptureTaskUpdateBegin", updates, group)
        assert acl.kernel(updates, partial(trace.append, step)) == 0
        acl.ok("aclmdlRICaptureTaskUpdateEnd", updates)
        acl.ok("aclrtValueWrite", flag, 1, 0, updates)
        acl.sync(stream)
    assert trace == ["first", "second"]


@rule("case 34", "task_group_capture_invalid")
@own_process(sq="hardware", streams=2)
def test_a_task_that_finds_no_room_invalidates_the_group_and_the_capture(acl: Acl) -> None:
    """With hardware queues: the capture's first queue is full, and there is no second one."""
    stream, handle = acl.stream(), c_void_p()
    acl.begin(stream)
    acl.begin_group(stream)
    code, launched = 0, 0
    while code == 0 and launched < 3000:
        code, launched = acl.kernel(stream), launched + 1
    assert code == 207005
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 507903
    assert handle.value is None
    code, graph = acl.try_end(stream)
    assert (code, graph.value) == (507903, None)
