# SPDX-License-Identifier: Apache-2.0
"""Finished graphs: execution, order, destruction, introspection, task groups and their updates."""

import ctypes
import json
import threading
import time
from ctypes import byref, c_uint32, c_void_p
from pathlib import Path

from acl_abi import GLOBAL, Acl, in_thread

# --- task groups ---


def test_task_groups_need_a_capture(acl: Acl) -> None:
    """task_group_no_captured."""
    stream, handle = acl.stream(), c_void_p()
    assert acl.aclmdlRICaptureTaskGrpBegin(stream) == 107029
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 107029


def test_a_group_cannot_be_opened_or_closed_twice(acl: Acl) -> None:
    """task_group_repeat."""
    stream, handle = acl.stream(), c_void_p()
    acl.begin(stream)
    acl.begin_group(stream)
    assert acl.aclmdlRICaptureTaskGrpBegin(stream) == 107033
    acl.end_group(stream)
    assert acl.aclmdlRICaptureTaskGrpEnd(stream, byref(handle)) == 107033
    acl.end(stream)


def test_an_open_group_fails_the_end_with_107033_and_no_graph(acl: Acl) -> None:
    """task_group_unclosed."""
    stream = acl.stream()
    acl.begin(stream)
    acl.begin_group(stream)
    code, graph = acl.try_end(stream)
    assert (code, graph.value) == (107033, None)


def test_work_on_another_stream_of_the_graph_breaks_an_open_group(acl: Acl) -> None:
    """stream_capture.cc, stream.cc."""
    origin, branch, handle = acl.stream(), acl.stream(), c_void_p()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.begin_group(origin)
    assert acl.kernel(branch) == 107034
    assert acl.aclmdlRICaptureTaskGrpEnd(origin, byref(handle)) == 107034
    assert handle.value is None
    assert acl.try_end(origin)[0] == 507903


def test_only_kernels_can_be_in_a_group(acl: Acl) -> None:
    """stream.cc, PackingTaskGroup."""
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
            assert (
                acl.kernel(self.stream, lambda number=number: self.trace.append(f"old{number}"))
                == 0
            )
        self.group = acl.end_group(self.stream)
        self.graph = acl.end(self.stream)

    def replay(self, acl: Acl) -> list[str]:
        """Execute and return what the kernels of this replay left."""
        self.trace.clear()
        acl.execute(self.graph, self.stream)
        acl.sync(self.stream)
        return list(self.trace)


def test_a_capturing_stream_cannot_update(acl: Acl) -> None:
    """api_error_aclgraph.cc."""
    grouped, stream = Grouped(acl), acl.stream()
    acl.begin(stream)
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, grouped.group) == 107027
    acl.end(stream)


def test_a_stream_updates_one_group_at_a_time(acl: Acl) -> None:
    """context_aclgraph.cc."""
    one, other, stream = Grouped(acl), Grouped(acl), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, one.group)
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, one.group) == 107033
    assert acl.aclmdlRICaptureTaskUpdateBegin(stream, other.group) == 107033
    assert acl.aclmdlRICaptureTaskUpdateBegin(acl.stream(), one.group) == 107033
    assert acl.kernel(stream) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


def test_more_kernels_than_the_group_has_are_507000(acl: Acl) -> None:
    """stream.cc, UpdateTask; task_group_update_1."""
    grouped, stream = Grouped(acl, kernels=1), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream) == 0
    assert acl.kernel(stream) == 507000
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


def test_fewer_kernels_than_the_group_has_are_507000_at_the_end(acl: Acl) -> None:
    """context_aclgraph.cc."""
    grouped, stream = Grouped(acl, kernels=2), acl.stream()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream) == 0
    assert acl.aclmdlRICaptureTaskUpdateEnd(stream) == 507000
    assert acl.aclmdlRICaptureTaskUpdateEnd(stream) == 107033  # the state was reset anyway


def test_only_kernels_can_update(acl: Acl) -> None:
    """stream.cc, AllocTask."""
    grouped, stream, buffer = Grouped(acl), acl.stream(), acl.buffer()
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.aclrtMemsetAsync(buffer, 8, 0, 8, stream) == 507009
    assert acl.kernel(stream) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)


def test_ending_an_update_that_was_not_begun_is_107033(acl: Acl) -> None:
    """task_group_update_3."""
    assert acl.aclmdlRICaptureTaskUpdateEnd(acl.stream()) == 107033


def test_an_update_replaces_kernels_in_order_and_launches_nothing(acl: Acl) -> None:
    """context_aclgraph.cc."""
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


def test_the_stream_that_was_captured_may_update(acl: Acl) -> None:
    """context_aclgraph.cc."""
    grouped = Grouped(acl)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", grouped.stream, grouped.group)
    assert acl.kernel(grouped.stream, lambda: grouped.trace.append("new")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", grouped.stream)
    assert grouped.replay(acl) == ["new"]


def test_an_update_that_is_not_ordered_before_a_replay_comes_too_late(acl: Acl) -> None:
    """launch/aix_stars.cc: updates are asynchronous work of the updating stream."""
    grouped, stream = Grouped(acl), acl.stream()
    gate = acl.block(stream)
    acl.ok("aclmdlRICaptureTaskUpdateBegin", stream, grouped.group)
    assert acl.kernel(stream, lambda: grouped.trace.append("new")) == 0
    acl.ok("aclmdlRICaptureTaskUpdateEnd", stream)
    assert grouped.replay(acl) == ["old0"]
    gate.open()
    acl.sync(stream)
    assert grouped.replay(acl) == ["new"]


def test_an_update_that_an_event_orders_before_a_replay_is_seen(acl: Acl) -> None:
    """launch/aix_stars.cc."""
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


def test_a_running_replay_that_waits_for_a_value_sees_the_update_made_meanwhile(acl: Acl) -> None:
    """How torch_npu orders updates: a captured value wait, written after the update."""
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
        assert acl.kernel(updates, lambda step=step: trace.append(step)) == 0
        acl.ok("aclmdlRICaptureTaskUpdateEnd", updates)
        acl.ok("aclrtValueWrite", flag, 1, 0, updates)
        acl.sync(stream)
    assert trace == ["first", "second"]


def test_the_groups_of_a_destroyed_graph_are_unknown(acl: Acl) -> None:
    """Undefined on an NPU; here it is found out."""
    grouped = Grouped(acl)
    acl.ok("aclmdlRIDestroy", grouped.graph)
    assert acl.aclmdlRICaptureTaskUpdateBegin(acl.stream(), grouped.group) == 107017


# --- execution ---


def test_a_graph_in_capture_can_neither_execute_nor_be_destroyed(acl: Acl) -> None:
    """capture_model.cc, context.cc."""
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.info(stream)[1]
    assert acl.aclmdlRIExecuteAsync(graph, acl.stream()) == 107026
    assert acl.aclmdlRIDestroy(graph) == 107026
    acl.end(stream)


def test_a_graph_cannot_execute_on_a_capturing_stream(acl: Acl) -> None:
    """api_error.cc."""
    stream, capturing = acl.stream(), acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.begin(capturing)
    assert acl.aclmdlRIExecuteAsync(graph, capturing) == 107027
    acl.end(capturing)


def test_captured_graphs_cannot_execute_synchronously(acl: Acl) -> None:
    """api_error.cc, ModelExecuteSync."""
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRIExecute(graph, -1) == 107000
    assert acl.aclmdlRIExecute(graph, 0) == 107000


def test_a_destroyed_graph_is_an_invalid_handle(acl: Acl) -> None:
    """runtime_handle_guard.cc."""
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclmdlRIDestroy", graph)
    assert acl.aclmdlRIExecuteAsync(graph, stream) == 107017
    assert acl.aclmdlRIDestroy(graph) == 107017


def test_null_graphs_are_100000(acl: Acl) -> None:
    """model_ri.cpp."""
    assert acl.aclmdlRIExecuteAsync(None, acl.stream()) == 100000
    assert acl.aclmdlRIDestroy(None) == 100000


def test_a_graph_executes_only_in_its_own_context(acl: Acl) -> None:
    """capture_model.cc."""
    stream, context = acl.stream(), c_void_p()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclrtCreateContext", byref(context), 0)
    assert acl.aclmdlRIExecuteAsync(graph, acl.stream()) == 107004
    acl.ok("aclrtDestroyContext", context)
    acl.ok("aclrtSetDevice", 0)


def test_a_replay_keeps_the_order_of_the_stream_it_executes_on(acl: Acl) -> None:
    """capture_model.cc: execute, then wait for the end notify."""
    captured, stream, trace = acl.stream(), acl.stream(), list[str]()
    acl.begin(captured)
    assert acl.kernel(captured, lambda: trace.append("graph")) == 0
    graph = acl.end(captured)
    gate = acl.block(stream)
    assert acl.kernel(stream, lambda: trace.append("before")) == 0
    acl.execute(graph, stream)
    assert acl.kernel(stream, lambda: trace.append("after")) == 0
    acl.sync(captured)  # not ordered with the replay
    assert trace == []
    gate.open()
    acl.sync(stream)
    assert trace == ["before", "graph", "after"]


def test_a_null_stream_executes_on_the_default_stream(acl: Acl) -> None:
    """capture_model.cc."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream)
    acl.fill(stream, buffer, 3)
    acl.execute(acl.end(stream), None)
    acl.sync(None)
    assert acl.byte(buffer) == 3


def test_branches_of_a_replay_wait_only_where_they_waited_in_the_capture(acl: Acl) -> None:
    """The fork runs beside the origin, the join after both: a linear replay would not end."""
    origin, branch, flag, trace = acl.stream(), acl.stream(), acl.buffer(), list[str]()
    acl.begin(origin)
    assert acl.kernel(origin, lambda: trace.append("root")) == 0
    acl.fork(origin, branch)
    acl.ok("aclrtValueWait", flag, 1, 1, origin)  # satisfied by the branch, captured later
    assert acl.kernel(origin, lambda: trace.append("origin")) == 0
    assert acl.kernel(branch, lambda: trace.append("branch")) == 0
    acl.ok("aclrtValueWrite", flag, 1, 0, branch)
    acl.join(branch, origin)
    assert acl.kernel(origin, lambda: trace.append("joined")) == 0
    acl.ok("aclrtValueWrite", flag, 0, 0, origin)
    graph = acl.end(origin)
    for _ in range(20):
        trace.clear()
        acl.execute(graph, origin)
        acl.ok("aclrtSynchronizeStreamWithTimeout", origin, 10000)
        assert trace == ["root", "branch", "origin", "joined"]


def test_a_join_waits_for_the_slower_branch(acl: Acl) -> None:
    """capture_adapt_v100.cc."""
    origin, branch, trace = acl.stream(), acl.stream(), list[str]()
    acl.begin(origin)
    acl.fork(origin, branch)
    assert acl.kernel(branch, lambda: (time.sleep(0.05), trace.append("slow"))) == 0
    acl.join(branch, origin)
    assert acl.kernel(origin, lambda: trace.append("joined")) == 0
    graph = acl.end(origin)
    acl.execute(graph, origin)
    acl.sync(origin)
    assert trace == ["slow", "joined"]


def test_destroying_a_running_graph_waits_for_it(acl: Acl) -> None:
    """context.cc: software queues."""
    stream, started, trace = acl.stream(), threading.Event(), list[str]()
    acl.begin(stream)
    assert acl.kernel(stream, lambda: (started.set(), time.sleep(0.1), trace.append("done"))) == 0
    graph = acl.end(stream)
    acl.execute(graph, stream)
    assert started.wait(30)
    acl.ok("aclmdlRIDestroy", graph)
    assert trace == ["done"]


def test_destroying_a_graph_calls_its_callbacks(acl: Acl) -> None:
    """model_ri.cpp."""
    stream, calls = acl.stream(), list[int]()
    callback = ctypes.CFUNCTYPE(None, c_void_p)(calls.append)
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclmdlRIDestroyRegisterCallback", graph, callback, c_void_p(5))
    acl.ok("aclmdlRIDestroy", graph)
    assert calls == [5]


def test_a_graph_can_be_executed_by_any_thread(acl: Acl) -> None:
    """capture_model.cc: only the context counts."""
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    acl.fill(stream, buffer, 4)
    graph = acl.end(stream)
    assert in_thread(acl, lambda: acl.aclmdlRIExecuteAsync(graph, stream)) == 0
    acl.sync(stream)
    assert acl.byte(buffer) == 4


def test_two_replays_of_a_graph_at_once_are_counted(acl: Acl) -> None:
    """Undefined on an NPU; here it is reported."""
    one, other = acl.stream(), acl.stream()
    entered = threading.Semaphore(0)
    gate = threading.Event()
    acl.begin(one)
    assert acl.kernel(one, lambda: (entered.release(), gate.wait(30))) == 0
    graph = acl.end(one)
    before = acl.counters()["graph_overlaps"]
    acl.execute(graph, one)
    assert entered.acquire(timeout=30)
    acl.execute(graph, other)
    assert entered.acquire(timeout=30)
    gate.set()
    acl.ok("aclrtSynchronizeDevice")
    assert acl.counters()["graph_overlaps"] == before + 1


# --- introspection ---


def test_get_streams_counts_fills_and_refuses_short_arrays(acl: Acl) -> None:
    """model.cc; model_get_streams_abnormal."""
    origin, branch, number = acl.stream(), acl.stream(), c_uint32()
    acl.begin(origin)
    acl.fork(origin, branch)
    acl.join(branch, origin)
    graph = acl.end(origin)
    acl.ok("aclmdlRIGetStreams", graph, None, byref(number))
    assert number.value == 2
    streams, number = (c_void_p * 3)(1, 1, 1), c_uint32(3)
    acl.ok("aclmdlRIGetStreams", graph, streams, byref(number))
    assert list(streams) == [origin.value, branch.value, None]
    assert acl.aclmdlRIGetStreams(graph, streams, byref(c_uint32(1))) == 107039


def test_json_print_writes_one_trace_event_per_task(acl: Acl, tmp_path: Path) -> None:
    """stream.cc, model_aclgraph.cc."""
    stream, buffer, path = acl.stream(), acl.buffer(), tmp_path / "graph.json"
    acl.begin(stream)
    acl.fill(stream, buffer, 1)
    assert acl.kernel(stream) == 0
    graph = acl.end(stream)
    acl.ok("aclmdlRIDebugJsonPrint", graph, str(path).encode(), 0)
    events = json.loads(path.read_text())
    assert [event["args"]["Task Id"] for event in events] == [0, 1]
    assert [event["ph"] for event in events] == ["X", "X"]
    assert events[0]["pid"].endswith("aclGraph")


def test_json_print_to_a_missing_directory_is_107000(acl: Acl, tmp_path: Path) -> None:
    """ModelDebugJsonPrint_Error_01."""
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRIDebugJsonPrint(graph, str(tmp_path / "no" / "x.json").encode(), 0) == 107000
    assert acl.aclmdlRIDebugJsonPrint(graph, b"", 0) == 107000


def test_graphs_have_names_and_different_ids(acl: Acl) -> None:
    """model_ri.cpp."""
    stream, ids = acl.stream(), []
    for _ in range(2):
        acl.begin(stream)
        graph, number = acl.end(stream), c_uint32()
        acl.ok("aclmdlRIGetId", graph, byref(number))
        ids.append(number.value)
    assert ids[0] != ids[1]
    name = ctypes.create_string_buffer(16)
    acl.ok("aclmdlRISetName", graph, b"decode")
    acl.ok("aclmdlRIGetName", graph, 16, name)
    assert name.value == b"decode"
    assert acl.aclmdlRIGetName(graph, 3, name) == 107000
