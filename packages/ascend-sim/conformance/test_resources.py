# SPDX-License-Identifier: Apache-2.0
"""What a device has a limited number of: who takes it, when it comes back, what its end is."""

import json
from collections.abc import Callable

import pytest
from rules import rule

# A graph of some streams; each is captured from a stream of its own.
GRAPHS = """
        import ctypes, threading, time
        from ctypes import byref, c_void_p
        pool = []
        def capture(streams, tasks=0):
            while len(pool) < streams:
                pool.append(acl.stream())
            origin, *branches = pool[:streams]
            acl.begin(origin)
            for branch in branches:
                acl.fork(origin, branch)
            for branch in branches:
                acl.join(branch, origin)
            for _ in range(tasks):
                assert acl.kernel(origin) == 0
            return acl.end(origin)
        def run(graph):
            acl.execute(graph, pool[0])
            acl.sync(pool[0])
"""


@pytest.fixture
def device(process: Callable[..., str], chosen_device: Callable[[], None]) -> Callable[..., str]:
    """Run a program on a simulated device with these limits; a real one cannot be told them."""
    chosen_device()

    def run(code: str, **config: object) -> str:
        return process(GRAPHS + code, json.dumps(config))

    return run


# --- streams ---


@rule("section 2", "aclrtGetStreamAvailableNum: npu_driver_res.cc")
def test_a_stream_takes_a_queue_and_gives_it_back(device: Callable[..., str]) -> None:
    device(
        """
        assert acl.streams_available() == 3
        streams = [acl.stream() for _ in range(3)]
        assert acl.streams_available() == 0
        assert acl.aclrtCreateStream(byref(c_void_p())) == 207005
        assert "streams" in acl.message()
        acl.ok("aclrtDestroyStream", streams.pop())
        assert acl.streams_available() == 1
        acl.stream()
        """,
        streams=3,
    )


@rule("section 2", "stream-id space of the 310P: dc/dev_info_reg.cc")
def test_without_a_stream_id_a_stream_is_207008(device: Callable[..., str]) -> None:
    device(
        """
        for _ in range(992):
            acl.stream()
        assert acl.streams_available() == 1024 - 992
        assert acl.aclrtCreateStream(byref(c_void_p())) == 207008
        """,
        soc="Ascend310P3",
    )


# --- graphs with software queues ---


@rule("case 48", "capture_model.cc, device_sq_cq_pool.cc")
def test_a_graph_takes_queues_at_its_first_execution_and_the_pool_keeps_them(
    device: Callable[..., str],
) -> None:
    device(
        """
        for _ in range(3):
            pool.append(acl.stream())
        before = acl.streams_available()
        one, other = capture(3), capture(3)
        assert acl.streams_available() == before - 1  # the pool's first
        for _ in range(2):
            run(one)
            assert acl.streams_available() == before - 3
        run(other)
        assert acl.streams_available() == before - 6
        acl.ok("aclmdlRIDestroy", one)
        acl.ok("aclmdlRIDestroy", other)
        assert acl.streams_available() == before - 6
        run(capture(2))
        assert acl.streams_available() == before - 6
        acl.ok("aclrtResetDeviceForce", 0)
        acl.ok("aclrtSetDevice", 0)
        assert acl.streams_available() == before + 3
        """,
        sq="software",
    )


@rule("case 47", "capture_model.cc; BuildSqCqStreamResourceCapacityExceeded")
def test_a_graph_of_1025_streams_is_207005_at_its_execution(device: Callable[..., str]) -> None:
    device(
        """
        graph = capture(1025)
        left = acl.streams_available()
        assert acl.aclmdlRIExecuteAsync(graph, pool[0]) == 207005
        assert acl.streams_available() == left
        acl.sync(pool[0])
        """,
        sq="software",
    )


@rule("case 49", "capture_mode_try_recycle")
def test_a_graph_takes_the_queues_of_idle_graphs(device: Callable[..., str]) -> None:
    device(
        """
        one, other = capture(2), capture(2)
        assert acl.streams_available() == 1
        for graph in (one, other, one):
            run(graph)
        assert acl.streams_available() == 0
        """,
        sq="software",
        streams=4,
    )


@rule("section 2", "Stream::Setup, stream.cc")
def test_a_stream_takes_the_queue_of_an_idle_graph_rather_than_fail(
    device: Callable[..., str],
) -> None:
    device(
        """
        graph = capture(1)
        run(graph)
        pool.append(acl.stream())
        assert acl.aclrtCreateStream(byref(c_void_p())) == 207005
        assert acl.aclmdlRIExecuteAsync(graph, pool[0]) == 207005
        acl.ok("aclrtDestroyStream", pool.pop())
        run(graph)
        """,
        sq="software",
        streams=2,
    )


@rule("section 2", "AllocSqCqProc, capture_model.cc")
def test_a_graph_waits_for_the_queues_of_one_that_runs(device: Callable[..., str]) -> None:
    device(
        """
        one, other = capture(2), capture(2)
        third = acl.stream()
        gate = acl.block(third)
        acl.begin(pool[0])
        acl.fork(pool[0], pool[1])
        acl.host(pool[0], gate)
        acl.join(pool[1], pool[0])
        held = acl.end(pool[0])
        acl.execute(held, pool[0])
        code = []
        def execute():
            acl.ok("aclrtSetDevice", 0)
            code.append(acl.aclmdlRIExecuteAsync(one, pool[1]))
        thread = threading.Thread(target=execute)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive() and not code
        gate.open()
        thread.join(30)
        assert code == [0]
        acl.sync(pool[1])
        """,
        sq="software",
        streams=5,
    )


@rule("section 2", "AllocSqCqProc and BatchAllocSqCq: the code of a full pool is not mapped")
def test_a_pool_full_of_idle_queues_fails_a_larger_graph_once_with_507000(
    device: Callable[..., str],
) -> None:
    device(
        """
        large, larger = capture(400), capture(640)
        run(large)
        assert acl.aclmdlRIExecuteAsync(larger, pool[0]) == 507000
        run(larger)
        """,
        sq="software",
    )


@rule("case 47", "BuildSqCq: more than there is, whoever gives way")
def test_a_graph_that_can_never_get_its_queues_fails_with_207005(
    device: Callable[..., str],
) -> None:
    device(
        """
        graph = capture(2)
        assert acl.aclmdlRIExecuteAsync(graph, pool[0]) == 207005
        assert "hardware queues" in acl.message()
        acl.sync(pool[0])
        """,
        sq="software",
        streams=3,
    )


@rule("case 46", "context.cc")
def test_destroying_a_graph_that_runs_is_107037_after_ten_seconds(
    device: Callable[..., str],
) -> None:
    device(
        """
        pool.append(acl.stream())
        gate = acl.block(pool[0])
        graph = capture(1)
        acl.execute(graph, pool[0])
        begin = time.monotonic()
        assert acl.aclmdlRIDestroy(graph) == 107037
        assert 9 < time.monotonic() - begin
        threading.Timer(0.2, gate.open).start()
        acl.ok("aclmdlRIDestroy", graph)
        """,
        sq="software",
    )


@rule("section 2", "SC:87, AllocCaptureTask; a software queue holds 32768 entries")
def test_a_long_capture_goes_on_on_a_second_stream(device: Callable[..., str]) -> None:
    device(
        """
        fits, splits = capture(1, tasks=32736), capture(1, tasks=32737)
        before = acl.streams_available()
        run(fits)
        assert acl.streams_available() == before  # the pool's first
        run(splits)
        assert acl.streams_available() == before - 2
        """,
        sq="software",
    )


# --- graphs with hardware queues ---


@rule("section 2", "hardware SQ: a queue for each captured stream, at capture")
def test_with_hardware_queues_a_capture_takes_them_and_the_graph_keeps_them(
    device: Callable[..., str],
) -> None:
    device(
        """
        for _ in range(3):
            pool.append(acl.stream())
        before = acl.streams_available()
        one = capture(3)
        assert acl.streams_available() == before - 3
        run(one)
        assert acl.streams_available() == before - 3
        acl.ok("aclmdlRIDestroy", one)
        assert acl.streams_available() == before
        """,
        sq="hardware",
    )


@rule("section 2", "hardware SQ; New capture stream failed (vllm-ascend 9564)")
def test_with_hardware_queues_the_capture_fails_when_none_is_left(
    device: Callable[..., str],
) -> None:
    device(
        """
        pool += [acl.stream(), acl.stream()]
        kept = capture(1)
        assert acl.aclmdlRICaptureBegin(pool[0], 0) == 207005
        assert acl.info(pool[0])[0] == 0
        run(kept)
        acl.ok("aclmdlRIDestroy", kept)
        acl.begin(pool[0])
        event = acl.event()
        acl.record(event, pool[0])
        assert acl.aclrtStreamWaitEvent(pool[1], event) == 207005
        assert acl.info(pool[0])[0] == 2  # invalidated
        code, graph = acl.try_end(pool[0])
        assert (code, graph.value) == (507903, None)
        assert acl.streams_available() == 1
        """,
        sq="hardware",
        streams=3,
    )


@rule("section 1.5", "AllocCascadeCaptureStream: a capture that cannot go on is over")
def test_a_long_capture_without_a_queue_for_the_rest_is_invalidated(
    device: Callable[..., str],
) -> None:
    device(
        """
        pool.append(acl.stream())
        before = acl.streams_available()
        acl.begin(pool[0])
        for _ in range(2016):
            assert acl.kernel(pool[0]) == 0
        assert acl.streams_available() == before - 1
        assert acl.kernel(pool[0]) == 207005
        assert acl.kernel(pool[0]) == 0  # swallowed
        assert acl.try_end(pool[0])[0] == 507903
        """,
        sq="hardware",
        streams=2,
    )


@rule("section 1.7", "task groups begin with NOPs: 8 on A2, A3 and 950, 10 on 310P")
@pytest.mark.parametrize(("soc", "nops"), [("Ascend910B1", 8), ("Ascend310P3", 10)])
def test_a_task_group_takes_entries_of_the_queue_before_its_tasks(
    device: Callable[..., str], soc: str, nops: int
) -> None:
    device(
        f"""
        pool.append(acl.stream())
        acl.begin(pool[0])
        for _ in range(2016 - {nops}):
            assert acl.kernel(pool[0]) == 0
        acl.begin_group(pool[0])
        assert acl.kernel(pool[0]) == 207005  # the queue is full, and there is no other
        assert acl.try_end(pool[0])[0] == 507903
        """,
        sq="hardware",
        streams=2,
        soc=soc,
    )


@rule("section 1.8", "the reference count is that of software queues")
def test_with_hardware_queues_a_graph_that_runs_can_be_destroyed(
    device: Callable[..., str],
) -> None:
    device(
        """
        pool.append(acl.stream())
        gate = acl.block(pool[0])
        graph = capture(1)
        acl.execute(graph, pool[0])
        acl.ok("aclmdlRIDestroy", graph)
        gate.open()
        acl.sync(pool[0])
        """,
        sq="hardware",
    )


@rule("section 2", "the 310P has no software queues: dc/dev_info_reg.cc")
def test_a_310p_has_hardware_queues_whatever_is_asked_for(device: Callable[..., str]) -> None:
    device(
        """
        pool.append(acl.stream())
        before = acl.streams_available()
        capture(1)
        assert acl.streams_available() == before - 1
        """,
        soc="Ascend310P3",
        sq="software",
    )


# --- events ---


@rule("section 2", "aclrtCreateEventWithFlag, documentation: the number created is limited")
@pytest.mark.parametrize("flags", [0x1, 0x20])
def test_an_event_that_orders_streams_is_limited_at_its_creation(
    device: Callable[..., str], flags: int
) -> None:
    device(
        f"""
        def create():
            event = c_void_p()
            return acl.aclrtCreateEventWithFlag(byref(event), ctypes.c_uint32({flags})), event
        (_, first), (code, _) = create(), create()
        assert code == 0
        assert create()[0] == 207007
        acl.ok("aclrtDestroyEvent", first)
        assert create()[0] == 0
        """,
        events=2,
    )


@rule("section 3", "aclrtCreateEventExWithFlag, documentation: creation is not restricted")
def test_ex_events_and_events_for_time_only_are_created_without_limit(
    device: Callable[..., str],
) -> None:
    device(
        """
        from acl_abi import TIME_LINE
        for _ in range(5):
            acl.event()
            acl.old_event()
            acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(TIME_LINE))
        """,
        events=2,
    )


@rule("section 3", "aclrtCreateEvent, documentation: the record waits for resource release")
@pytest.mark.parametrize("kind", ["event", "old_event"])
def test_a_record_without_an_event_left_waits_for_one(
    device: Callable[..., str], kind: str
) -> None:
    device(
        f"""
        stream, one, other = acl.stream(), acl.{kind}(), acl.{kind}()
        for _ in range(3):
            acl.record(one, stream)  # again and again: a new record replaces the old
            acl.sync(stream)
        done = []
        def record():
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
        """,
        events=1,
    )


@rule("section 2", "IsUseHardwareEvent, capture_model_utils.cc")
def test_captured_records_leave_the_last_8192_events_alone(device: Callable[..., str]) -> None:
    device(
        """
        capture(10)  # 18 records: forks and joins
        for _ in range(8193):
            acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(1))
        code = acl.aclrtCreateEventWithFlag(byref(c_void_p()), ctypes.c_uint32(1))
        assert code == 0, code
        capture(10)
        assert acl.aclrtCreateEventWithFlag(byref(c_void_p()), ctypes.c_uint32(1)) == 207007
        """,
        events=8192 + 20,
    )


@rule("section 2", "the 310P cannot wait for memory: hardware events only")
def test_a_310p_without_an_event_left_invalidates_the_capture(device: Callable[..., str]) -> None:
    device(
        """
        stream, event = acl.stream(), acl.event()
        acl.begin(stream)
        acl.ok("aclrtCreateEventWithFlag", byref(c_void_p()), ctypes.c_uint32(1))
        assert acl.aclrtRecordEvent(event, stream) == 207007
        assert acl.try_end(stream)[0] == 507903
        """,
        soc="Ascend310P3",
        events=1,
    )


# --- models that are built ---


@rule("section 2", "sink tasks: 60000, of the 310P 32760; dev_info_reg.cc")
def test_a_stream_of_a_built_model_holds_a_limited_number_of_tasks(
    device: Callable[..., str],
) -> None:
    device(
        """
        stream, model, word = c_void_p(), c_void_p(), acl.buffer()
        acl.ok("aclrtCreateStreamWithConfig", byref(stream), 0, 4)  # persistent
        acl.ok("aclmdlRIBuildBegin", byref(model), 0)
        acl.ok("aclmdlRIBindStream", model, stream, 0)
        for _ in range(32760):
            acl.fill(stream, word, 1)
        assert acl.aclrtMemsetAsync(word, 8, 1, 8, stream) == 507002
        """,
        soc="Ascend310P3",
    )


# --- chips ---


@rule("section 1.10", "910A and 310P: no value write and wait")
def test_a_310p_neither_writes_nor_awaits_values(device: Callable[..., str]) -> None:
    device(
        """
        stream, word = acl.stream(), acl.buffer()
        assert acl.aclrtValueWrite(word, 1, 0, stream) == 207000
        assert acl.aclrtValueWait(word, 1, 0, stream) == 207000
        """,
        soc="Ascend310P3",
    )


@rule("section 4", "the guard of aclrtMalloc: not on 950")
def test_an_allocation_of_a_950_has_no_guard(device: Callable[..., str]) -> None:
    device(
        """
        before, _ = acl.memory()
        acl.ok("aclrtMalloc", byref(c_void_p()), 1000, 0)
        assert before - acl.memory()[0] == 1024
        """,
        soc="Ascend950PR_9599",
    )
