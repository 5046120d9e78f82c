# SPDX-License-Identifier: Apache-2.0
"""Models made without a capture: streams bound to them, their end, their execution."""

from ctypes import byref, c_int, c_uint32, c_void_p

import pytest
from acl_abi import GLOBAL, Acl
from rules import rule

FAST_LAUNCH, PERSISTENT = 0x1, 0x4
HEAD = 0


class Model:
    """A model that is being built, with one stream bound to it."""

    def __init__(self, acl: Acl) -> None:
        self._acl, self.handle = acl, c_void_p()
        acl.ok("aclmdlRIBuildBegin", byref(self.handle), 0)
        self.stream = acl.stream(PERSISTENT)
        acl.ok("aclmdlRIBindStream", self.handle, self.stream, HEAD)

    def end(self) -> None:
        self._acl.ok("aclmdlRIEndTask", self.handle, self.stream)
        self._acl.ok("aclmdlRIBuildEnd", self.handle, None)


@rule("section 1.8", "model.cc; api_impl.cc, ModelExecuteSync")
def test_what_is_launched_on_a_bound_stream_runs_when_the_model_is_executed(acl: Acl) -> None:
    model, buffer, stream = Model(acl), acl.buffer(), acl.stream()
    acl.fill(model.stream, buffer, 1)
    model.end()
    assert acl.byte(buffer) == 0
    acl.ok("aclmdlRIExecute", model.handle, -1)
    assert acl.byte(buffer) == 1
    acl.fill(stream, buffer, 0)
    acl.execute(model.handle, stream)
    acl.sync(stream)
    assert acl.byte(buffer) == 1


@rule("section 1.8", "model.cc: not complete")
@pytest.mark.parametrize("done", ["nothing", "end task"])
def test_a_model_executes_only_after_its_end_task_and_its_end(acl: Acl, done: str) -> None:
    model, stream = Model(acl), acl.stream()
    if done == "end task":
        acl.ok("aclmdlRIEndTask", model.handle, model.stream)
    assert acl.aclmdlRIExecute(model.handle, -1) == 507011
    assert acl.aclmdlRIExecuteAsync(model.handle, stream) == 507011


@rule("section 1.8", "api_error.cc, ModelBindStream")
def test_only_a_persistent_stream_that_is_free_can_be_bound(acl: Acl) -> None:
    model, other = Model(acl), c_void_p()
    acl.ok("aclmdlRIBuildBegin", byref(other), 0)
    assert acl.aclmdlRIBindStream(model.handle, acl.stream(), HEAD) == 107000
    fast = acl.stream(PERSISTENT | FAST_LAUNCH)
    assert acl.aclmdlRIBindStream(model.handle, fast, HEAD) == 207000
    assert acl.aclmdlRIBindStream(other, model.stream, HEAD) == 107005
    assert acl.aclmdlRIBindStream(None, model.stream, HEAD) == 100000


@rule("section 1.4", "api_error.cc 3906: bind, unbind, end task")
@pytest.mark.parametrize("call", ["aclmdlRIBindStream", "aclmdlRIUnbindStream", "aclmdlRIEndTask"])
def test_capture_and_building_do_not_mix(acl: Acl, call: str) -> None:
    model, capturing = Model(acl), acl.stream(PERSISTENT)
    flag = (HEAD,) if call == "aclmdlRIBindStream" else ()
    acl.begin(capturing)
    assert getattr(acl, call)(model.handle, capturing, *flag) == 107027
    graph = acl.end(capturing)
    assert getattr(acl, call)(graph, capturing, *flag) == 107000


@rule("section 1.4", "api_error.cc, ModelExecuteSync and ModelLoadComplete")
def test_a_captured_graph_is_no_built_model(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRIExecute(graph, -1) == 107000
    assert acl.aclmdlRIBuildEnd(graph, None) == 107000
    assert acl.aclmdlRIAbort(graph) == 207000


@rule("section 1.2", "api_impl_aclgraph.cc: already bound to a model")
def test_a_bound_stream_is_not_for_captures_updates_and_executions(acl: Acl) -> None:
    model, stream = Model(acl), acl.stream()
    assert acl.aclmdlRICaptureBegin(model.stream, GLOBAL) == 107005
    acl.begin(stream)
    acl.begin_group(stream)
    group = acl.end_group(stream)
    graph = acl.end(stream)
    assert acl.aclmdlRICaptureTaskUpdateBegin(model.stream, group) == 107005
    assert acl.aclmdlRIExecuteAsync(graph, model.stream) == 107000


@rule("section 1.8", "context.cc 1051; api_impl.cc, StreamAbort and SetStreamFailureMode")
def test_a_bound_stream_is_neither_destroyed_nor_aborted(acl: Acl) -> None:
    model = Model(acl)
    assert acl.aclrtDestroyStream(model.stream) == 107005
    assert acl.aclrtStreamAbort(model.stream) == 207000
    assert acl.aclrtSetStreamFailureMode(model.stream, 1) == 207000
    acl.ok("aclmdlRIUnbindStream", model.handle, model.stream)
    assert acl.aclmdlRIUnbindStream(model.handle, model.stream) == 107005
    acl.ok("aclrtDestroyStream", model.stream)


@rule("section 1.8", "api_impl.cc, EventRecord and StreamWaitEvent on a model's stream")
def test_a_bound_stream_knows_only_external_events(acl: Acl) -> None:
    model, event = Model(acl), acl.event()
    assert acl.aclrtRecordEvent(event, model.stream) == 207000
    assert acl.aclrtStreamWaitEvent(model.stream, event) == 207000
    assert acl.aclrtRecordEvent(acl.old_event(), model.stream) == 207000
    acl.record(acl.external_event(), model.stream)
    model.end()
    acl.ok("aclmdlRIExecute", model.handle, -1)


@rule("section 1.8", "model.cc: the streams of a model run beside each other")
def test_the_streams_of_a_model_order_each_other_by_external_events(acl: Acl) -> None:
    model, second = Model(acl), acl.stream(PERSISTENT)
    event, first, last = acl.external_event(), acl.buffer(), acl.buffer()
    acl.ok("aclmdlRIBindStream", model.handle, second, HEAD)
    acl.wait(model.stream, event)
    acl.ok("aclrtMemcpyAsync", last, 8, first, 8, 3, model.stream)
    acl.ok("aclrtResetEvent", event, model.stream)
    acl.fill(second, first, 7)
    acl.record(event, second)
    model.end()
    acl.ok("aclmdlRIExecute", model.handle, 20000)
    assert acl.byte(last) == 7


@rule("section 1.8", "api_impl.cc: synchronize and query of PERSISTENT streams")
def test_a_persistent_stream_is_always_complete(acl: Acl) -> None:
    model, status = Model(acl), c_int(9)
    acl.sync(model.stream)
    acl.ok("aclrtStreamQuery", model.stream, byref(status))
    assert status.value == 0


@rule("case 44", "api_error.cc, ModelExecute")
def test_the_time_limit_of_an_execution(acl: Acl) -> None:
    model, event = Model(acl), acl.external_event()
    acl.wait(model.stream, event)
    model.end()
    assert acl.aclmdlRIExecute(model.handle, 0) == 107000
    assert acl.aclmdlRIExecute(model.handle, -2) == 107000
    assert acl.aclmdlRIExecute(model.handle, 20) == 507046
    acl.record(event, acl.stream())


@rule("section 1.8", "model_ri.cpp, api_error.cc")
def test_the_arguments_of_building_are_checked(acl: Acl) -> None:
    handle = c_void_p()
    assert acl.aclmdlRIBuildBegin(None, 0) == 100000
    assert acl.aclmdlRIBuildBegin(byref(handle), 1) == 107000
    model = Model(acl)
    assert acl.aclmdlRIBuildEnd(model.handle, byref(c_uint32())) == 107000
    assert acl.aclmdlRIBindStream(model.handle, acl.stream(PERSISTENT), 5) == 107000


@rule("section 1.8", "a model that is destroyed lets its streams go")
def test_a_destroyed_model_is_stale_and_its_stream_free(acl: Acl) -> None:
    model, buffer = Model(acl), acl.buffer()
    acl.fill(model.stream, buffer, 1)
    model.end()
    acl.ok("aclmdlRIDestroy", model.handle)
    assert acl.aclmdlRIExecute(model.handle, -1) == 107017
    acl.ok("aclrtDestroyStream", model.stream)
