# SPDX-License-Identifier: Apache-2.0
"""What a device has a limited number of: who takes it, when it comes back, what its end is."""

import ctypes
import threading
import time
from ctypes import byref, c_void_p

import pytest
from acl_abi import TIME_LINE, Acl
from own_process import own_process
from rules import rule


class Graphs:
    """Makes graphs of some streams; each is captured from a stream of its own, of a pool."""

    def __init__(self, acl: Acl) -> None:
        self._acl = acl
        self.pool: list[c_void_p] = []

    def capture(self, streams: int, tasks: int = 0) -> c_void_p:
        while len(self.pool) < streams:
            self.pool.append(self._acl.stream())
        origin, *branches = self.pool[:streams]
        self._acl.begin(origin)
        for branch in branches:
            self._acl.fork(origin, branch)
        for branch in branches:
            self._acl.join(branch, origin)
        for _ in range(tasks):
            assert self._acl.kernel(origin) == 0
        return self._acl.end(origin)

    def run(self, graph: c_void_p) -> None:
        self._acl.execute(graph, self.pool[0])
        self._acl.sync(self.pool[0])


# --- streams ---


@rule("section 2", "aclrtGetStreamAvailableNum: npu_driver_res.cc")
@own_process(streams=3)
def test_a_stream_takes_a_queue_and_gives_it_back(acl: Acl) -> None:
    assert acl.streams_available() == 3
    streams = [acl.stream() for _ in range(3)]
    assert acl.streams_available() == 0
    assert acl.aclrtCreateStream(byref(c_void_p())) == 207005
    assert "streams" in acl.message()
    acl.ok("aclrtDestroyStream", streams.pop())
    assert acl.streams_available() == 1
    acl.stream()


@rule("section 2", "stream-id space of the 310P: dc/dev_info_reg.cc")
@own_process(soc="Ascend310P3")
def test_without_a_stream_id_a_stream_is_207008(acl: Acl) -> None:
    for _ in range(992):
        acl.stream()
    assert acl.streams_available() == 1024 - 992
    assert acl.aclrtCreateStream(byref(c_void_p())) == 207008


# --- graphs with software queues ---


@rule("case 48", "capture_model.cc, device_sq_cq_pool.cc")
@own_process(sq="software")
def test_a_graph_takes_queues_at_its_first_execution_and_the_pool_keeps_them(acl: Acl) -> None:
    graphs = Graphs(acl)
    for _ in range(3):
        graphs.pool.append(acl.stream())
    before = acl.streams_available()
    one, other = graphs.capture(3), graphs.capture(3)
    assert acl.streams_available() == before - 1  # the graphs.pool's first
    for _ in range(2):
        graphs.run(one)
        assert acl.streams_available() == before - 3
    graphs.run(other)
    assert acl.streams_available() == before - 6
    acl.ok("aclmdlRIDestroy", one)
    acl.ok("aclmdlRIDestroy", other)
    assert acl.streams_available() == before - 6
    graphs.run(graphs.capture(2))
    assert acl.streams_available() == before - 6
    acl.ok("aclrtResetDeviceForce", 0)
    acl.ok("aclrtSetDevice", 0)
    assert acl.streams_available() == before + 3


@rule("case 47", "capture_model.cc; BuildSqCqStreamResourceCapacityExceeded")
@own_process(sq="software")
def test_a_graph_of_1025_streams_is_207005_at_its_execution(acl: Acl) -> None:
    graphs = Graphs(acl)
    graph = graphs.capture(1025)
    left = acl.streams_available()
    assert acl.aclmdlRIExecuteAsync(graph, graphs.pool[0]) == 207005
    assert acl.streams_available() == left
    acl.sync(graphs.pool[0])


@rule("case 49", "capture_mode_try_recycle")
@own_process(sq="software", streams=4)
def test_a_graph_takes_the_queues_of_idle_graphs(acl: Acl) -> None:
    graphs = Graphs(acl)
    one, other = graphs.capture(2), graphs.capture(2)
    assert acl.streams_available() == 1
    for graph in (one, other, one):
        graphs.run(graph)
    assert acl.streams_available() == 0


@rule("section 2", "Stream::Setup, stream.cc")
@own_process(sq="software", streams=2)
def test_a_stream_takes_the_queue_of_an_idle_graph_rather_than_fail(acl: Acl) -> None:
    graphs = Graphs(acl)
    graph = graphs.capture(1)
    graphs.run(graph)
    graphs.pool.append(acl.stream())
    assert acl.aclrtCreateStream(byref(c_void_p())) == 207005
    assert acl.aclmdlRIExecuteAsync(graph, graphs.pool[0]) == 207005
    acl.ok("aclrtDestroyStream", graphs.pool.pop())
    graphs.run(graph)


@rule("section 2", "AllocSqCqProc, capture_model.cc")
@own_process(sq="software", streams=5)
def test_a_graph_waits_for_the_queues_of_one_that_runs(acl: Acl) -> None:
    graphs = Graphs(acl)
    one, _ = graphs.capture(2), graphs.capture(2)
    third = acl.stream()
    gate = acl.block(third)
    acl.begin(graphs.pool[0])
    acl.fork(graphs.pool[0], graphs.pool[1])
    acl.host(graphs.pool[0], gate)
    acl.join(graphs.pool[1], graphs.pool[0])
    held = acl.end(graphs.pool[0])
    acl.execute(held, graphs.pool[0])
    code: list[int] = []

    def execute() -> None:
        acl.ok("aclrtSetDevice", 0)
        code.append(acl.aclmdlRIExecuteAsync(one, graphs.pool[1]))

    thread = threading.Thread(target=execute)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    assert not code
    gate.open()
    thread.join(30)
    assert code == [0]
    acl.sync(graphs.pool[1])


@rule("section 2", "AllocSqCqProc and BatchAllocSqCq: the code of a full pool is not mapped")
@own_process(sq="software")
def test_a_pool_full_of_idle_queues_fails_a_larger_graph_once_with_507000(acl: Acl) -> None:
    graphs = Graphs(acl)
    large, larger = graphs.capture(400), graphs.capture(640)
    graphs.run(large)
    assert acl.aclmdlRIExecuteAsync(larger, graphs.pool[0]) == 507000
    graphs.run(larger)


@rule("case 47", "BuildSqCq: more than there is, whoever gives way")
@own_process(sq="software", streams=3)
def test_a_graph_that_can_never_get_its_queues_fails_with_207005(acl: Acl) -> None:
    graphs = Graphs(acl)
    graph = graphs.capture(2)
    assert acl.aclmdlRIExecuteAsync(graph, graphs.pool[0]) == 207005
    assert "hardware queues" in acl.message()
    acl.sync(graphs.pool[0])


@rule("case 46", "context.cc")
@own_process(sq="software")
def test_destroying_a_graph_that_runs_is_107037_after_ten_seconds(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.pool.append(acl.stream())
    gate = acl.block(graphs.pool[0])
    graph = graphs.capture(1)
    acl.execute(graph, graphs.pool[0])
    begin = time.monotonic()
    assert acl.aclmdlRIDestroy(graph) == 107037
    assert time.monotonic() - begin > 9
    threading.Timer(0.2, gate.open).start()
    acl.ok("aclmdlRIDestroy", graph)


@rule("section 2", "SC:87, AllocCaptureTask; a software queue holds 32768 entries")
@own_process(sq="software")
def test_a_long_capture_goes_on_on_a_second_stream(acl: Acl) -> None:
    graphs = Graphs(acl)
    fits, splits = graphs.capture(1, tasks=32736), graphs.capture(1, tasks=32737)
    before = acl.streams_available()
    graphs.run(fits)
    assert acl.streams_available() == before  # the graphs.pool's first
    graphs.run(splits)
    assert acl.streams_available() == before - 2


# --- graphs with hardware queues ---


@rule("section 2", "hardware SQ: a queue for each captured stream, at capture")
@own_process(sq="hardware")
def test_with_hardware_queues_a_capture_takes_them_and_the_graph_keeps_them(acl: Acl) -> None:
    graphs = Graphs(acl)
    for _ in range(3):
        graphs.pool.append(acl.stream())
    before = acl.streams_available()
    one = graphs.capture(3)
    assert acl.streams_available() == before - 3
    graphs.run(one)
    assert acl.streams_available() == before - 3
    acl.ok("aclmdlRIDestroy", one)
    assert acl.streams_available() == before


@rule("section 2", "hardware SQ; New capture stream failed (vllm-ascend 9564)")
@own_process(sq="hardware", streams=3)
def test_with_hardware_queues_the_capture_fails_when_none_is_left(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.pool += [acl.stream(), acl.stream()]
    kept = graphs.capture(1)
    assert acl.aclmdlRICaptureBegin(graphs.pool[0], 0) == 207005
    assert acl.info(graphs.pool[0])[0] == 0
    graphs.run(kept)
    acl.ok("aclmdlRIDestroy", kept)
    acl.begin(graphs.pool[0])
    event = acl.event()
    acl.record(event, graphs.pool[0])
    assert acl.aclrtStreamWaitEvent(graphs.pool[1], event) == 207005
    assert acl.info(graphs.pool[0])[0] == 2  # invalidated
    code, graph = acl.try_end(graphs.pool[0])
    assert (code, graph.value) == (507903, None)
    assert acl.streams_available() == 1


@rule("section 1.5", "AllocCascadeCaptureStream: a capture that cannot go on is over")
@own_process(sq="hardware", streams=2)
def test_a_long_capture_without_a_queue_for_the_rest_is_invalidated(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.pool.append(acl.stream())
    before = acl.streams_available()
    acl.begin(graphs.pool[0])
    for _ in range(2016):
        assert acl.kernel(graphs.pool[0]) == 0
    assert acl.streams_available() == before - 1
    assert acl.kernel(graphs.pool[0]) == 207005
    assert acl.kernel(graphs.pool[0]) == 0  # swallowed
    assert acl.try_end(graphs.pool[0])[0] == 507903


@rule("section 1.7", "task groups begin with NOPs: 8 on A2, A3 and 950, 10 on 310P")
@pytest.mark.parametrize(("soc", "nops"), [("Ascend910B1", 8), ("Ascend310P3", 10)])
@own_process(parameters=("soc",), sq="hardware", streams=2)
def test_a_task_group_takes_entries_of_the_queue_before_its_tasks(acl: Acl, nops: int) -> None:
    graphs = Graphs(acl)
    graphs.pool.append(acl.stream())
    acl.begin(graphs.pool[0])
    for _ in range(2016 - nops):
        assert acl.kernel(graphs.pool[0]) == 0
    acl.begin_group(graphs.pool[0])
    assert acl.kernel(graphs.pool[0]) == 207005  # the queue is full, and there is no other
    assert acl.try_end(graphs.pool[0])[0] == 507903


@rule("section 1.8", "the reference count is that of software queues")
@own_process(sq="hardware")
def test_with_hardware_queues_a_graph_that_runs_can_be_destroyed(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.pool.append(acl.stream())
    gate = acl.block(graphs.pool[0])
    graph = graphs.capture(1)
    acl.execute(graph, graphs.pool[0])
    acl.ok("aclmdlRIDestroy", graph)
    gate.open()
    acl.sync(graphs.pool[0])


@rule("section 2", "the 310P has no software queues: dc/dev_info_reg.cc")
@own_process(soc="Ascend310P3", sq="software")
def test_a_310p_has_hardware_queues_whatever_is_asked_for(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.pool.append(acl.stream())
    before = acl.streams_available()
    graphs.capture(1)
    assert acl.streams_available() == before - 1


# --- events ---


@rule("section 2", "aclrtCreateEventWithFlag, documentation: the number created is limited")
@pytest.mark.parametrize("flags", [0x1, 0x20])
@own_process(events=2)
def test_an_event_that_orders_streams_is_limited_at_its_creation(acl: Acl, flags: int) -> None:
    def create() -> tuple[int, c_void_p]:
        event = c_void_p()
        return acl.aclrtCreateEventWithFlag(byref(event), ctypes.c_uint32(flags)), event

    (_, first), (code, _) = create(), create()
    assert code == 0
    assert create()[0] == 207007
    acl.ok("aclrtDestroyEvent", first)
    assert create()[0] == 0


@rule("section 3", "aclrtCreateEventExWithFlag, documentation: creation is not restricted")
@own_process(events=2)
def test_ex_events_and_events_for_time_only_are_created_without_limit(acl: Acl) -> None:
    for _ in range(5):
        acl.event()
        acl.old_event()
        acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(TIME_LINE))


@rule("section 3", "aclrtCreateEvent, documentation: the record waits for resource release")
@pytest.mark.parametrize("kind", ["event", "old_event"])
@own_process(events=1)
def test_a_record_without_an_event_left_waits_for_one(acl: Acl, kind: str) -> None:
    stream, one, other = acl.stream(), getattr(acl, kind)(), getattr(acl, kind)()
    for _ in range(3):
        acl.record(one, stream)  # again and again: a new record replaces the old
        acl.sync(stream)
    done: list[bool] = []

    def record() -> None:
        acl.ok("aclrtSetDevice", 0)
        acl.record(other, stream)
        done.append(True)

    thread = threading.Thread(target=record)
    thread.start()
    thread.join(0.3)
    assert not done
    acl.ok("aclrtDestroyEvent", one)
    thread.join(30)
    assert done


@rule("section 2", "IsUseHardwareEvent, capture_model_utils.cc")
@own_process(events=8192 + 20)
def test_captured_records_leave_the_last_8192_events_alone(acl: Acl) -> None:
    graphs = Graphs(acl)
    graphs.capture(10)  # 18 records: forks and joins
    for _ in range(8193):
        acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(1))
    code = acl.aclrtCreateEventWithFlag(byref(c_void_p()), ctypes.c_uint32(1))
    assert code == 0, code
    graphs.capture(10)
    assert acl.aclrtCreateEventWithFlag(byref(c_void_p()), ctypes.c_uint32(1)) == 207007


@rule("section 2", "the 310P cannot wait for memory: hardware events only")
@own_process(soc="Ascend310P3", events=1)
def test_a_310p_without_an_event_left_invalidates_the_capture(acl: Acl) -> None:
    stream, event = acl.stream(), acl.event()
    acl.begin(stream)
    acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(1))
    assert acl.aclrtRecordEvent(event, stream) == 207007
    assert acl.try_end(stream)[0] == 507903


# --- models that are built ---


@rule("section 2", "sink tasks: 60000, of the 310P 32760; dev_info_reg.cc")
@own_process(soc="Ascend310P3")
def test_a_stream_of_a_built_model_holds_a_limited_number_of_tasks(acl: Acl) -> None:
    stream, model, word = c_void_p(), c_void_p(), acl.buffer()
    acl.ok("aclrtCreateStreamWithConfig", byref(stream), 0, 4)  # persistent
    acl.ok("aclmdlRIBuildBegin", byref(model), 0)
    acl.ok("aclmdlRIBindStream", model, stream, 0)
    for _ in range(32760):
        acl.fill(stream, word, 1)
    assert acl.aclrtMemsetAsync(word, 8, 1, 8, stream) == 507002


# --- chips ---


@rule("section 1.10", "910A and 310P: no value write and wait")
@own_process(soc="Ascend310P3")
def test_a_310p_neither_writes_nor_awaits_values(acl: Acl) -> None:
    stream, word = acl.stream(), acl.buffer()
    assert acl.aclrtValueWrite(word, 1, 0, stream) == 207000
    assert acl.aclrtValueWait(word, 1, 0, stream) == 207000


@rule("section 4", "the guard of aclrtMalloc: not on 950")
@own_process(soc="Ascend950PR_9599")
def test_an_allocation_of_a_950_has_no_guard(acl: Acl) -> None:
    before, _ = acl.memory()
    acl.ok("aclrtMalloc", byref(c_void_p()), 1000, 0)
    assert before - acl.memory()[0] == 1024
