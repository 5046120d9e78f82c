# SPDX-License-Identifier: Apache-2.0
"""Conditions: IF, WHILE and SWITCH choose at each replay which graphs run."""

from ctypes import byref, c_uint32, c_void_p

import pytest
from acl_abi import ACTIVE, GLOBAL, NONE, RELAXED, Acl, CondTaskParams
from acl_fixtures import hardware_queues
from rules import rule

IF, WHILE, SWITCH = range(3)
BY_USER, ASSIGN_DEFAULT = 0, 1

software = pytest.mark.usefixtures("software_queues")


class Condition:
    """A condition of the graph that a stream is being captured into."""

    def __init__(
        self, acl: Acl, stream: c_void_p, initial: int = 0, flag: int = ASSIGN_DEFAULT
    ) -> None:
        self._acl, self._stream, self.handle = acl, stream, c_void_p()
        graph = acl.info(stream)[1]
        acl.ok("aclmdlRICondHandleCreate", graph, initial, flag, byref(self.handle))
        word = c_void_p()
        acl.ok("aclmdlRICondHandleGetCondPtr", self.handle, byref(word))
        self.word = word

    def try_add(self, kind: int, size: int, flags: int = 0) -> tuple[int, list[c_void_p]]:
        graphs = (c_void_p * max(size, 1))()
        params = CondTaskParams(self.handle, kind, size, graphs)
        code = self._acl.aclmdlRIAddCondTask(params, self._stream, flags)
        return code, [c_void_p(graph) for graph in graphs]

    def add(self, kind: int, size: int) -> list[c_void_p]:
        code, graphs = self.try_add(kind, size)
        assert code == 0, self._acl.message()
        return graphs


def body(acl: Acl, graph: c_void_p) -> c_void_p:
    """Begin the capture of a child on a stream of its own."""
    stream = acl.stream()
    acl.ok("aclmdlRICaptureToModelRIBegin", stream, graph, RELAXED)
    return stream


def store(acl: Acl, stream: c_void_p, address: c_void_p, value: int) -> None:
    acl.ok("aclrtValueWrite", address, value, 0, stream)


def choosing(acl: Acl, kind: int, size: int, initial: int) -> tuple[c_void_p, c_void_p, c_void_p]:
    """Capture a graph whose n-th branch stores n + 1; return it, its stream and the word."""
    stream, chosen = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    for number, graph in enumerate(Condition(acl, stream, initial).add(kind, size)):
        inner = body(acl, graph)
        store(acl, inner, chosen, number + 1)
        acl.ok("aclmdlRICaptureEnd", inner, None)
    return acl.end(stream), stream, chosen


@rule("section 1.10", "aclgraph_cond_task.cc; rt_utest_capture_mode.cc")
@software
@pytest.mark.parametrize(
    ("kind", "size", "initial", "chosen"),
    [
        pytest.param(IF, 1, 1, 1, id="if-true"),
        pytest.param(IF, 1, 0, 0, id="if-false"),
        pytest.param(IF, 2, 7, 1, id="if-else-true"),
        pytest.param(IF, 2, 0, 2, id="if-else-false"),
        pytest.param(SWITCH, 3, 0, 1, id="switch-first"),
        pytest.param(SWITCH, 3, 2, 3, id="switch-last"),
        pytest.param(SWITCH, 3, 3, 0, id="switch-beyond"),
    ],
)
def test_the_value_chooses_the_branch(
    acl: Acl, kind: int, size: int, initial: int, chosen: int
) -> None:
    graph, stream, word = choosing(acl, kind, size, initial)
    acl.execute(graph, stream)
    acl.sync(stream)
    assert acl.word(word) == chosen


@rule("section 1.10", "cond_handle.cc, InitCondTaskByDefValue")
@software
def test_a_default_is_assigned_anew_at_each_execution(acl: Acl) -> None:
    stream, count = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    condition = Condition(acl, stream, initial=1)
    (child,) = condition.add(IF, 1)
    inner = body(acl, child)
    store(acl, inner, condition.word, 0)
    store(acl, inner, count, 1)
    acl.ok("aclmdlRICaptureEnd", inner, None)
    graph = acl.end(stream)
    for _ in range(2):
        acl.fill(stream, count, 0)
        acl.execute(graph, stream)
        acl.sync(stream)
        assert acl.word(count) == 1
        assert acl.word(condition.word) == 0


@rule("section 1.10", "acl_rt.h: 0 leaves the value to the user; cond_handle.cc zeroes it")
@software
def test_without_a_default_the_value_is_zero_and_then_what_was_written(acl: Acl) -> None:
    stream, chosen = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    condition = Condition(acl, stream, initial=5, flag=BY_USER)
    (child,) = condition.add(IF, 1)
    inner = body(acl, child)
    store(acl, inner, chosen, 1)
    acl.ok("aclmdlRICaptureEnd", inner, None)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)
    assert acl.word(chosen) == 0
    store(acl, stream, condition.word, 1)
    acl.execute(graph, stream)
    acl.sync(stream)
    assert acl.word(chosen) == 1


@rule("section 1.10", "aclgraph_cond_task.cc; example 3_cond_model")
@software
def test_a_loop_runs_until_its_body_clears_the_value(acl: Acl) -> None:
    stream, steps = acl.stream(), [acl.buffer() for _ in range(3)]
    acl.begin(stream, RELAXED)
    condition = Condition(acl, stream, initial=0xFFFF)
    (child,) = condition.add(WHILE, 1)
    inner = body(acl, child)
    # A queue of three: each round moves it on by one; the condition takes what falls out of it.
    acl.ok("aclrtMemcpyAsync", condition.word, 8, steps[0], 8, 3, inner)
    acl.ok("aclrtMemcpyAsync", steps[0], 8, steps[1], 8, 3, inner)
    acl.ok("aclrtMemcpyAsync", steps[1], 8, steps[2], 8, 3, inner)
    acl.ok("aclmdlRICaptureEnd", inner, None)
    graph = acl.end(stream)
    for step, value in zip(steps, (1, 1, 0), strict=True):
        store(acl, stream, step, value)
    acl.execute(graph, stream)
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, 20000)
    assert [acl.word(step) for step in steps] == [0, 0, 0]
    assert acl.word(condition.word) == 0


@rule("section 1.10", "rt_utest_capture_mode.cc: nested")
@software
def test_conditions_nest(acl: Acl) -> None:
    stream, chosen = acl.stream(), acl.buffer()
    acl.begin(stream, RELAXED)
    (outer,) = Condition(acl, stream, initial=1).add(IF, 1)
    middle = body(acl, outer)
    first, second = Condition(acl, middle, initial=1).add(SWITCH, 2)
    for graph, value in ((first, 10), (second, 20)):
        inner = body(acl, graph)
        store(acl, inner, chosen, value)
        acl.ok("aclmdlRICaptureEnd", inner, None)
    acl.ok("aclmdlRICaptureEnd", middle, None)
    graph = acl.end(stream)
    for _ in range(2):
        acl.fill(stream, chosen, 0)
        acl.execute(graph, stream)
        acl.sync(stream)
        assert acl.word(chosen) == 20


@rule("section 1.10", "context_aclgraph.cc: the task is work of the stream, in its order")
@software
def test_a_branch_comes_after_what_was_captured_before_and_before_what_follows(acl: Acl) -> None:
    stream, before, after = acl.stream(), acl.buffer(), acl.buffer()
    acl.begin(stream, RELAXED)
    store(acl, stream, before, 4)
    (child,) = Condition(acl, stream, initial=1).add(IF, 1)
    inner = body(acl, child)
    acl.ok("aclrtMemcpyAsync", after, 8, before, 8, 3, inner)
    acl.ok("aclmdlRICaptureEnd", inner, None)
    store(acl, stream, before, 9)
    graph = acl.end(stream)
    acl.execute(graph, stream)
    acl.sync(stream)
    assert (acl.word(before), acl.word(after)) == (9, 4)


@rule("case 57", "aclgraph_cond_task.cc")
@software
@pytest.mark.parametrize(
    ("kind", "size"), [(IF, 0), (IF, 3), (WHILE, 0), (WHILE, 2), (SWITCH, 0), (3, 1)]
)
def test_a_number_of_graphs_that_the_type_cannot_have_is_107000(
    acl: Acl, kind: int, size: int
) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert Condition(acl, stream).try_add(kind, size)[0] == 107000
    acl.end(stream)


@rule("case 57", "context_aclgraph.cc")
@software
@pytest.mark.parametrize("begun", [False, True])
def test_an_open_child_fails_the_end_of_its_parent_with_107045(acl: Acl, begun: bool) -> None:
    stream = acl.stream()
    acl.begin(stream, RELAXED)
    (child,) = Condition(acl, stream).add(WHILE, 1)
    inner = body(acl, child) if begun else None
    code, graph = acl.try_end(stream)
    assert (code, graph.value) == (107045, None)
    if inner:
        assert acl.info(inner)[0] == NONE
    assert acl.aclmdlRIDestroy(child) == 107017


@rule("section 1.10", "api_error_aclgraph.cc, api_impl.cc")
@software
def test_a_condition_needs_an_active_graph(acl: Acl) -> None:
    stream, handle = acl.stream(), c_void_p()
    acl.begin(stream)
    graph = acl.info(stream)[1]
    assert acl.aclmdlRICondHandleCreate(graph, 0, 2, byref(handle)) == 107000
    assert acl.aclmdlRICondHandleCreate(None, 0, 1, byref(handle)) == 100000
    assert acl.aclmdlRICondHandleCreate(graph, 0, 1, None) == 100000
    acl.end(stream)
    assert acl.aclmdlRICondHandleCreate(graph, 0, 1, byref(handle)) == 107000


@rule("section 1.10", "api_impl.cc, StreamAddCondTask")
@software
def test_the_task_of_a_condition_is_added_once_and_in_its_own_graph(acl: Acl) -> None:
    stream, other = acl.stream(), acl.stream()
    acl.begin(stream, RELAXED)
    condition = Condition(acl, stream)
    graphs = (c_void_p * 1)()
    params = CondTaskParams(condition.handle, IF, 1, graphs)
    assert acl.aclmdlRIAddCondTask(params, other, 0) == 107029
    acl.begin(other, RELAXED)
    assert acl.aclmdlRIAddCondTask(params, other, 0) == 107000
    acl.end(other)
    assert condition.try_add(IF, 1, flags=1)[0] == 107000
    (child,) = condition.add(IF, 1)
    assert condition.try_add(IF, 1)[0] == 107000
    acl.ok("aclmdlRICaptureEnd", body(acl, child), None)
    acl.end(stream)


@rule("section 1.10", "context_aclgraph.cc, StreamBeginCapture")
@software
def test_only_a_child_that_was_not_captured_can_be_captured_into(acl: Acl) -> None:
    stream, inner = acl.stream(), acl.stream()
    acl.begin(stream, RELAXED)
    parent = acl.info(stream)[1]
    assert acl.aclmdlRICaptureToModelRIBegin(inner, parent, RELAXED) == 107000
    assert acl.aclmdlRICaptureToModelRIBegin(inner, None, RELAXED) == 100000
    (child,) = Condition(acl, stream).add(IF, 1)
    acl.ok("aclmdlRICaptureToModelRIBegin", inner, child, RELAXED)
    assert acl.info(inner)[0] == ACTIVE
    assert acl.info(inner)[1].value == child.value
    assert acl.aclmdlRICaptureToModelRIBegin(acl.stream(), child, RELAXED) == 107026
    acl.ok("aclmdlRICaptureEnd", inner, None)
    assert acl.aclmdlRICaptureToModelRIBegin(inner, child, RELAXED) == 107026
    acl.end(stream)


@rule("section 1.10", "api_impl.cc: IsSubCaptureModel")
@software
def test_a_child_has_no_life_of_its_own(acl: Acl) -> None:
    stream, number = acl.stream(), c_uint32()
    acl.begin(stream, RELAXED)
    (child,) = Condition(acl, stream).add(IF, 1)
    acl.ok("aclmdlRICaptureEnd", body(acl, child), None)
    graph = acl.end(stream)
    assert acl.aclmdlRIExecuteAsync(child, stream) == 207000
    assert acl.aclmdlRIDestroy(child) == 207000
    assert acl.aclmdlRIUpdate(child) == 207000
    assert acl.aclmdlRIGetStreams(child, None, byref(number)) == 207000
    acl.ok("aclmdlRIDestroy", graph)
    assert acl.aclmdlRIExecuteAsync(child, stream) == 107017


@rule("section 1.8", "runtime_handle_guard.cc; cond_handle.cc")
@software
def test_the_condition_goes_with_its_graph(acl: Acl) -> None:
    before = acl.memory()[0]
    stream, word = acl.stream(), c_void_p()
    acl.begin(stream, RELAXED)
    condition = Condition(acl, stream)
    acl.ok("aclmdlRIDestroy", acl.end(stream))
    assert acl.aclmdlRICondHandleGetCondPtr(condition.handle, byref(word)) == 107017
    assert acl.memory()[0] == before


@rule("section 1.10", "device memory: value writes take it, aclrtFree does not")
@software
def test_the_value_is_device_memory_of_the_runtime(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream, GLOBAL)
    condition = Condition(acl, stream)
    acl.end(stream)
    store(acl, stream, condition.word, 3)
    acl.sync(stream)
    assert acl.word(condition.word) == 3
    assert acl.aclrtFree(condition.word) == 107000


@rule("case 57", "CheckCaptureModelSupportSoftwareSq")
def test_hardware_queues_have_no_conditions(acl: Acl) -> None:
    if not hardware_queues():
        pytest.skip("needs hardware queues")
    stream, handle = acl.stream(), c_void_p()
    acl.begin(stream)
    graph = acl.info(stream)[1]
    assert acl.aclmdlRICondHandleCreate(graph, 0, ASSIGN_DEFAULT, byref(handle)) == 207000
    acl.end(stream)
