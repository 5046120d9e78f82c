# SPDX-License-Identifier: Apache-2.0
"""Collectives on streams and in graphs: asynchronous, and once per replay."""

from collections.abc import Callable
from typing import Any

from processes import Ranks

Run = Callable[..., list[Any]]


def test_a_collective_returns_before_the_other_rank_comes(run: Run) -> None:
    program = """
    comm, buffer = me.join(), me.put(np.full(10, rank + 1, np.float32))
    if rank == 1:
        me.await_file("rank 0 has launched")
    me.ok("HcclAllReduce", buffer, buffer, 10, TYPES["float32"], SUM, comm, me.stream)
    if rank == 0:
        me.publish("rank 0 has launched", b"")
    me.done()
    tell(float(me.get(buffer, 1, np.float32)[0]))
    """
    assert run(program) == [[3.0], [3.0]]


def test_a_captured_collective_runs_once_per_replay(run: Run) -> None:
    """Given x = x + (sum over ranks of x), captured: three replays and an eager one multiply by 81.

    Capturing itself moves nothing.
    """
    program = """
    comm, count = me.join(), 70_000
    x = me.put(np.ones(count, np.int64))
    stream = me.new_stream()
    me.capture(stream)
    me.ok("HcclAllReduce", x, x, count, TYPES["int64"], SUM, comm, stream)
    me.ok("HcclBarrier", comm, stream)
    graph = me.captured(stream)
    me.done()
    assert (me.get(x, count, np.int64) == 1).all()
    for _ in range(3):
        me.ok("aclmdlRIExecuteAsync", graph, me.stream)
    me.ok("HcclAllReduce", x, x, count, TYPES["int64"], SUM, comm, me.stream)
    me.done()
    tell(np.unique(me.get(x, count, np.int64)).tolist())
    """
    assert run(program, 3) == [[[81]]] * 3


def test_ranks_may_replay_what_others_launch(run: Run) -> None:
    """Given one rank with a graph and one without: the same collectives in the same order agree."""
    program = """
    comm, x = me.join(), me.put(np.ones(5, np.int32))
    def launch(stream):
        for op in (SUM, MAX, SUM):
            me.ok("HcclAllReduce", x, x, 5, TYPES["int32"], op, comm, stream)
    stream = me.new_stream()
    me.capture(stream)
    launch(stream)
    graph = me.captured(stream)
    for _ in range(4):
        launch(me.stream) if rank else me.ok("aclmdlRIExecuteAsync", graph, me.stream)
    me.done()
    tell(me.get(x, 1, np.int32).tolist())
    """
    assert run(program) == [[[4**4]]] * 2


def test_a_stream_destroyed_by_force_calls_its_collective_off(ranks: Ranks) -> None:
    """Given a rank that waits for ever: its wait ends with its stream, and the other knows."""
    program = """
    comm, buffer = me.join(), me.put(np.zeros(4, np.float32))
    stream = me.new_stream()
    if rank == 0:
        me.ok("HcclAllReduce", buffer, buffer, 4, TYPES["float32"], SUM, comm, stream)
        time.sleep(0.2)
        me.ok("aclrtDestroyStreamForce", stream)
        me.publish("destroyed", b"")
    else:
        me.await_file("destroyed")
        me.ok("HcclAllReduce", buffer, buffer, 4, TYPES["float32"], SUM, comm, stream)
        tell([me.sync(stream), me.message()])
    """
    _, [[code, message]] = ranks.start(program, HCCL_EXEC_TIMEOUT="0").results()
    assert code == 507048
    assert "was cancelled: its stream was destroyed" in message


def test_a_destroyed_communicator_ends_its_collectives(ranks: Ranks) -> None:
    program = """
    comm, buffer = me.join(), me.put(np.zeros(4, np.float32))
    if rank == 0:
        me.ok("HcclAllReduce", buffer, buffer, 4, TYPES["float32"], SUM, comm, me.stream)
        time.sleep(0.2)
        me.ok("HcclCommDestroy", comm)
        tell([me.sync(), me.message()])
    """
    [[code, message]], _ = ranks.start(program, HCCL_EXEC_TIMEOUT="0").results()
    assert code == 507048
    assert "was destroyed" in message or "has ended" in message


def test_a_collective_in_a_task_group_is_refused(run: Run) -> None:
    """Only kernels can be replaced in a graph."""
    program = """
    comm, group = me.join(), c_void_p()
    me.capture(me.stream)
    me.ok("aclmdlRICaptureTaskGrpBegin", me.stream)
    code = me.call("HcclBarrier", comm, me.stream)
    tell([code, me.message()])
    """
    [[[code, message]]] = run(program, 1)
    assert code == 15  # HCCL_E_RUNTIME
    assert "507009" in message
