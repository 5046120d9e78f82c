# SPDX-License-Identifier: Apache-2.0
"""Tasks of a graph by handle: what they are, other parameters for them, the update of the graph."""

from ctypes import byref, c_uint32, c_uint64, c_void_p

import pytest
from acl_abi import ACTIVE, Acl, TaskParams
from acl_fixtures import hardware_queues
from rules import rule

DEFAULT, KERNEL, EVENT_RECORD, EVENT_WAIT, EVENT_RESET, VALUE_WRITE, VALUE_WAIT = range(7)

software = pytest.mark.usefixtures("software_queues")


def streams_of(acl: Acl, graph: c_void_p) -> list[c_void_p]:
    number = c_uint32()
    acl.ok("aclmdlRIGetStreams", graph, None, byref(number))
    streams = (c_void_p * number.value)()
    acl.ok("aclmdlRIGetStreams", graph, streams, byref(number))
    return [c_void_p(stream) for stream in streams]


def tasks_of(acl: Acl, graph: c_void_p, lane: int = 0) -> list[c_void_p]:
    stream, number = streams_of(acl, graph)[lane], c_uint32()
    acl.ok("aclmdlRIGetTasksByStream", stream, None, byref(number))
    tasks = (c_void_p * number.value)()
    acl.ok("aclmdlRIGetTasksByStream", stream, tasks, byref(number))
    return [c_void_p(task) for task in tasks]


def kind(acl: Acl, task: c_void_p) -> int:
    value = c_uint32(99)
    acl.ok("aclmdlRITaskGetType", task, byref(value))
    return value.value


def params_of(acl: Acl, task: c_void_p) -> TaskParams:
    params = TaskParams()
    acl.ok("aclmdlRITaskGetParams", task, byref(params))
    return params


class Writing:
    """A graph that writes 1 into a word, and then fills another one: a value task and a default."""

    def __init__(self, acl: Acl) -> None:
        self.stream, self.word, self.filled = acl.stream(), acl.buffer(), acl.buffer()
        acl.begin(self.stream)
        acl.ok("aclrtValueWrite", self.word, 1, 0, self.stream)
        acl.fill(self.stream, self.filled, 1)
        self.graph = acl.end(self.stream)
        self.task, self.default = tasks_of(acl, self.graph)[:2]

    def replay(self, acl: Acl) -> int:
        acl.execute(self.graph, self.stream)
        acl.sync(self.stream)
        return acl.word(self.word)


# --- what tasks are ---


@rule("section 1.9", "api_impl.cc, ConvertTaskType; acl_rt.h")
def test_tasks_come_in_their_order_with_their_types(acl: Acl) -> None:
    stream, word, event = acl.stream(), acl.buffer(), acl.external_event()
    acl.begin(stream)
    acl.fill(stream, word, 0)
    acl.record(event, stream)
    acl.wait(stream, event)
    acl.ok("aclrtResetEvent", event, stream)
    acl.ok("aclrtValueWrite", word, 1, 0, stream)
    acl.ok("aclrtValueWait", word, 1, 1, stream)
    tasks = tasks_of(acl, acl.end(stream))
    assert [kind(acl, task) for task in tasks[:6]] == [
        DEFAULT,
        EVENT_RECORD,
        EVENT_WAIT,
        EVENT_RESET,
        VALUE_WRITE,
        VALUE_WAIT,
    ]
    numbers = []
    for task in tasks:
        number = c_uint32()
        acl.ok("aclmdlRITaskGetSeqId", task, byref(number))
        numbers.append(number.value)
    assert numbers == sorted(set(numbers))


@rule("section 1.9", "api_impl.cc, StreamGetTasks")
def test_tasks_are_those_of_a_graphs_own_stream(acl: Acl) -> None:
    writing, number = Writing(acl), c_uint32()
    assert acl.aclmdlRIGetTasksByStream(writing.stream, None, byref(number)) == 107000
    assert acl.aclmdlRIGetTasksByStream(acl.stream(), None, byref(number)) == 107000


@rule("case 56", "model.cc; a short array of tasks, as of streams")
def test_a_short_array_of_tasks_is_filled_and_107039(acl: Acl) -> None:
    writing = Writing(acl)
    (stream,) = streams_of(acl, writing.graph)
    tasks, number = (c_void_p * 1)(), c_uint32(1)
    assert acl.aclmdlRIGetTasksByStream(stream, tasks, byref(number)) == 107039
    assert tasks[0] == writing.task.value


@rule("section 1.9", "api_impl.cc, TaskGetParams")
@software
def test_the_parameters_of_value_tasks_are_those_of_their_launch(acl: Acl) -> None:
    stream, word = acl.stream(), acl.buffer()
    acl.begin(stream)
    acl.ok("aclrtValueWrite", word, 5, 0, stream)
    acl.ok("aclrtValueWait", word, 6, 2, stream)
    write, wait = (params_of(acl, task) for task in tasks_of(acl, acl.end(stream))[:2])
    assert (write.type, write.value.address, write.value.value) == (VALUE_WRITE, word.value, 5)
    assert (wait.type, wait.value.address, wait.value.value) == (VALUE_WAIT, word.value, 6)
    assert wait.value.flag == 2


@rule("section 1.9", "acl_rt.h: the event, the flag of its creation and the one of its use")
@software
def test_the_parameters_of_event_tasks_name_the_event(acl: Acl) -> None:
    stream, event, outer = acl.stream(), acl.event(), acl.event()
    acl.begin(stream)
    acl.record(event, stream)
    acl.wait(stream, event)
    acl.ok("aclrtRecordEventWithFlag", outer, stream, 1)
    record, wait, external = (params_of(acl, task) for task in tasks_of(acl, acl.end(stream))[:3])
    assert (record.type, record.event.event, record.event.event_flags) == (
        EVENT_RECORD,
        event.value,
        1,
    )
    assert (wait.type, wait.event.event, wait.event.use) == (EVENT_WAIT, event.value, 0)
    assert (external.type, external.event.event, external.event.use) == (
        EVENT_RECORD,
        outer.value,
        1,
    )


@rule("section 1.9", "acl_rt.h: taskGrp")
@software
def test_the_parameters_of_a_grouped_kernel_name_the_group(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    acl.begin_group(stream)
    assert acl.kernel(stream) == 0
    group = acl.end_group(stream)
    graph = acl.end(stream)
    kernels = [task for task in tasks_of(acl, graph) if kind(acl, task) == KERNEL]
    params = params_of(acl, kernels[0])
    assert (params.type, params.task_group) == (KERNEL, group.value)
    assert params.kernel.function


@rule("section 1.9", "api_impl.cc: RT_TASK_INNER")
@software
def test_default_tasks_have_no_parameters(acl: Acl) -> None:
    writing = Writing(acl)
    assert acl.aclmdlRITaskGetParams(writing.default, byref(TaskParams())) == 107000
    assert writing.replay(acl) == 1  # asking does no harm


@rule("cases 54, 55", "CheckCaptureModelSupportSoftwareSq")
def test_hardware_queues_have_no_task_parameters(acl: Acl) -> None:
    if not hardware_queues():
        pytest.skip("needs hardware queues")
    writing = Writing(acl)
    params = TaskParams(type=VALUE_WRITE)
    assert acl.aclmdlRITaskGetParams(writing.task, byref(params)) == 207000
    assert acl.aclmdlRITaskSetParams(writing.task, byref(params)) == 207000
    assert acl.aclmdlRITaskDisable(writing.task) == 207000
    assert acl.aclmdlRIUpdate(writing.graph) == 207000
    assert writing.replay(acl) == 1


# --- other parameters ---


@rule("case 55", "api_impl.cc")
@software
def test_new_parameters_hold_after_the_update_and_nothing_executes_before(acl: Acl) -> None:
    writing, other = Writing(acl), acl.buffer()
    params = params_of(acl, writing.task)
    params.value.value, params.value.address = 77, other.value
    acl.ok("aclmdlRITaskSetParams", writing.task, byref(params))
    assert acl.aclmdlRIExecuteAsync(writing.graph, writing.stream) == 507011
    acl.ok("aclmdlRIUpdate", writing.graph)
    assert writing.replay(acl) == 0
    assert acl.word(other) == 77
    assert params_of(acl, writing.task).value.value == 77


@rule("section 1.9", "UpdateWaitValueTaskParams")
@software
def test_a_value_wait_can_await_something_else(acl: Acl) -> None:
    stream, word = acl.stream(), acl.buffer()
    acl.begin(stream)
    acl.ok("aclrtValueWait", word, 1, 1, stream)
    graph = acl.end(stream)
    task = tasks_of(acl, graph)[0]
    params = params_of(acl, task)
    params.value.value = 0
    acl.ok("aclmdlRITaskSetParams", task, byref(params))
    acl.ok("aclmdlRIUpdate", graph)
    acl.execute(graph, stream)
    acl.ok("aclrtSynchronizeStreamWithTimeout", stream, 10000)


@rule("section 1.9", "UpdateKernelParams; example: another function for a captured launch")
@software
def test_a_kernel_can_be_given_the_function_of_another(acl: Acl) -> None:
    stream, trace = acl.stream(), list[str]()
    acl.begin(stream)
    assert acl.kernel(stream, lambda: trace.append("one")) == 0
    assert acl.kernel(stream, lambda: trace.append("two")) == 0
    graph = acl.end(stream)
    one, two = (task for task in tasks_of(acl, graph) if kind(acl, task) == KERNEL)
    params = params_of(acl, one)
    acl.ok("aclmdlRITaskSetParams", two, byref(params))
    acl.ok("aclmdlRIUpdate", graph)
    acl.execute(graph, stream)
    acl.sync(stream)
    assert trace == ["one", "one"]


@rule("case 54", "api_impl.cc, capture_model.cc")
@software
@pytest.mark.parametrize("wrong", [EVENT_RECORD, EVENT_WAIT, EVENT_RESET, DEFAULT, 99])
def test_parameters_of_a_type_that_has_none_are_a_fault_of_the_graph(acl: Acl, wrong: int) -> None:
    writing = Writing(acl)
    assert acl.aclmdlRITaskSetParams(writing.task, byref(TaskParams(type=wrong))) == 107000
    assert acl.aclmdlRIExecuteAsync(writing.graph, writing.stream) == 507011
    assert acl.aclmdlRIUpdate(writing.graph) == 107040
    params = TaskParams(type=VALUE_WRITE)
    params.value.address = writing.word.value
    assert acl.aclmdlRITaskSetParams(writing.task, byref(params)) == 107040
    acl.ok("aclmdlRIDestroy", writing.graph)


@rule("section 1.9", "UpdateWriteValueTaskParams: the parameters are checked as a launch's")
@software
@pytest.mark.parametrize("address", [0, 8])
def test_a_wrong_address_is_a_fault_of_the_graph(acl: Acl, address: int) -> None:
    writing, params = Writing(acl), TaskParams(type=VALUE_WRITE)
    params.value.address = address
    assert acl.aclmdlRITaskSetParams(writing.task, byref(params)) in (100000, 107000)
    assert acl.aclmdlRIExecuteAsync(writing.graph, writing.stream) == 507011


@rule("section 1.9", "CheckCaptureModelForUpdate")
@software
def test_a_graph_that_runs_cannot_be_changed(acl: Acl) -> None:
    writing, params = Writing(acl), TaskParams(type=VALUE_WRITE)
    params.value.address = writing.word.value
    gate = acl.block(writing.stream)
    acl.execute(writing.graph, writing.stream)
    assert acl.aclmdlRITaskSetParams(writing.task, byref(params)) == 107040
    assert acl.aclmdlRITaskDisable(writing.task) == 107040
    gate.open()
    acl.sync(writing.stream)
    acl.ok("aclmdlRITaskSetParams", writing.task, byref(params))


@rule("section 1.9", "api_impl.cc, ModelUpdate")
@software
def test_an_update_without_a_change_does_nothing_and_during_a_capture_is_107040(acl: Acl) -> None:
    writing, stream = Writing(acl), acl.stream()
    acl.ok("aclmdlRIUpdate", writing.graph)
    assert writing.replay(acl) == 1
    acl.begin(stream)
    status, graph = acl.info(stream)
    assert status == ACTIVE
    assert acl.aclmdlRIUpdate(graph) == 107040
    acl.end(stream)


@rule("section 1.9", "api_impl.cc, ModelTaskDisable")
@software
def test_a_disabled_task_does_nothing_and_the_others_go_on(acl: Acl) -> None:
    writing = Writing(acl)
    acl.ok("aclmdlRITaskDisable", writing.task)
    assert acl.aclmdlRIExecuteAsync(writing.graph, writing.stream) == 507011
    acl.ok("aclmdlRIUpdate", writing.graph)
    assert writing.replay(acl) == 0
    assert acl.byte(writing.filled) == 1


@rule("section 1.9", "api_impl.cc, ModelTaskDisable")
@software
def test_disabling_a_default_task_is_a_fault_of_the_graph(acl: Acl) -> None:
    writing = Writing(acl)
    assert acl.aclmdlRITaskDisable(writing.default) == 107000
    assert acl.aclmdlRIExecuteAsync(writing.graph, writing.stream) == 507011


@rule("section 1.9", "api_error.cc: the null checks are those of the runtime layer")
def test_null_is_107000_and_a_stale_task_107017(acl: Acl) -> None:
    writing, params = Writing(acl), TaskParams()
    assert acl.aclmdlRITaskGetParams(None, byref(params)) == 107000
    assert acl.aclmdlRITaskGetParams(writing.task, None) == 107000
    assert acl.aclmdlRITaskGetType(writing.task, None) == 107000
    assert acl.aclmdlRIUpdate(None) == 107000
    acl.ok("aclmdlRIDestroy", writing.graph)
    assert acl.aclmdlRITaskGetType(writing.task, byref(c_uint64())) == 107017
    assert acl.aclmdlRITaskDisable(writing.task) == 107017
