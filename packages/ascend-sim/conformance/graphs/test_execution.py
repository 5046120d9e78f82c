# SPDX-License-Identifier: Apache-2.0
"""Finished graphs: execution, order, destruction."""

import ctypes
import time
from ctypes import byref, c_void_p

from acl_abi import GLOBAL, Acl, in_thread
from rules import rule


@rule("section 1.8", "aclgraph.md")
def test_captured_work_runs_at_replay_and_not_before(acl: Acl) -> None:
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


@rule("case 42", "capture_model.cc, context.cc")
def test_a_graph_in_capture_can_neither_execute_nor_be_destroyed(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.info(stream)[1]
    assert acl.aclmdlRIExecuteAsync(graph, acl.stream()) == 107026
    assert acl.aclmdlRIDestroy(graph) == 107026
    acl.end(stream)


@rule("case 43", "api_error.cc")
def test_a_graph_cannot_execute_on_a_capturing_stream(acl: Acl) -> None:
    stream, capturing = acl.stream(), acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.begin(capturing)
    assert acl.aclmdlRIExecuteAsync(graph, capturing) == 107027
    acl.end(capturing)


@rule("case 44", "api_error.cc, ModelExecuteSync")
def test_captured_graphs_cannot_execute_synchronously(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRIExecute(graph, -1) == 107000
    assert acl.aclmdlRIExecute(graph, 0) == 107000


@rule("case 45", "runtime_handle_guard.cc")
def test_a_destroyed_graph_is_an_invalid_handle(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclmdlRIDestroy", graph)
    assert acl.aclmdlRIExecuteAsync(graph, stream) == 107017
    assert acl.aclmdlRIDestroy(graph) == 107017


@rule("section 1.8", "model_ri.cpp")
def test_null_graphs_are_100000(acl: Acl) -> None:
    assert acl.aclmdlRIExecuteAsync(None, acl.stream()) == 100000
    assert acl.aclmdlRIDestroy(None) == 100000


@rule("section 1.8", "capture_model.cc")
def test_a_graph_executes_only_in_its_own_context(acl: Acl) -> None:
    stream, context = acl.stream(), c_void_p()
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclrtCreateContext", byref(context), 0)
    assert acl.aclmdlRIExecuteAsync(graph, acl.stream()) == 107004
    acl.ok("aclrtDestroyContext", context)
    acl.ok("aclrtSetDevice", 0)


@rule("section 1.8", "capture_model.cc: execute, then wait for the end notify")
def test_a_replay_keeps_the_order_of_the_stream_it_executes_on(acl: Acl) -> None:
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


@rule("section 1.8", "capture_model.cc")
def test_a_null_stream_executes_on_the_default_stream(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream)
    acl.fill(stream, buffer, 3)
    acl.execute(acl.end(stream), None)
    acl.sync(None)
    assert acl.byte(buffer) == 3


@rule(
    "section 1.8",
    "capture_adapt_v100.cc: a linear replay would not end",
)
def test_branches_of_a_replay_wait_only_where_they_waited_in_the_capture(acl: Acl) -> None:
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


@rule("section 1.6", "capture_adapt_v100.cc")
def test_a_join_waits_for_the_slower_branch(acl: Acl) -> None:
    origin, branch, trace = acl.stream(), acl.stream(), list[str]()
    acl.begin(origin)
    acl.fork(origin, branch)

    def slow() -> None:
        time.sleep(0.05)
        trace.append("slow")

    assert acl.kernel(branch, slow) == 0
    acl.join(branch, origin)
    assert acl.kernel(origin, lambda: trace.append("joined")) == 0
    graph = acl.end(origin)
    acl.execute(graph, origin)
    acl.sync(origin)
    assert trace == ["slow", "joined"]


@rule("section 1.8", "model_ri.cpp")
def test_destroying_a_graph_calls_its_callbacks(acl: Acl) -> None:
    stream, calls = acl.stream(), list[int]()
    callback = ctypes.CFUNCTYPE(None, c_void_p)(calls.append)
    acl.begin(stream)
    graph = acl.end(stream)
    acl.ok("aclmdlRIDestroyRegisterCallback", graph, callback, c_void_p(5))
    acl.ok("aclmdlRIDestroy", graph)
    assert calls == [5]


@rule("section 1.8", "capture_model.cc: only the context counts")
def test_a_graph_can_be_executed_by_any_thread(acl: Acl) -> None:
    stream, buffer = acl.stream(), acl.buffer()
    acl.begin(stream, GLOBAL)
    acl.fill(stream, buffer, 4)
    graph = acl.end(stream)
    assert in_thread(acl, lambda: acl.aclmdlRIExecuteAsync(graph, stream)) == 0
    acl.sync(stream)
    assert acl.byte(buffer) == 4
