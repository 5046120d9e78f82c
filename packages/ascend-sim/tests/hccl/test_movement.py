# SPDX-License-Identifier: Apache-2.0
"""Collectives that move data: every byte is where it belongs."""

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., list[Any]]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_all_gather_broadcast_scatter_and_all_to_all(run: Run, world: int) -> None:
    program = """
    comm = me.join()
    for dtype in (t for t in TYPES if t != "bfloat16"):
        type = TYPES[dtype]
        for count in (1, 5, 40_001):
            def of(r, n=count): return (np.arange(n) * 7 + 31 * r).astype(dtype)
            everything = np.concatenate([of(r) for r in range(world)])
            one, many = me.put(of(rank)), me.put(np.zeros(count * world, dtype))
            me.ok("HcclAllGather", one, many, count, type, comm, me.stream)
            me.done()
            assert np.array_equal(me.get(many, count * world, dtype), everything)

            root = world // 2
            me.ok("HcclBroadcast", one, count, type, root, comm, me.stream)
            me.done()
            assert np.array_equal(me.get(one, count, dtype), of(root))

            me.ok("HcclScatter", many, one, count, type, root, comm, me.stream)
            me.done()
            assert np.array_equal(me.get(one, count, dtype), of(rank))

            table = [(np.arange(count * world) + 1000 * r).astype(dtype) for r in range(world)]
            send = me.put(table[rank])
            me.ok("HcclAlltoAll", send, count, type, many, count, type, comm, me.stream)
            me.done()
            part = slice(rank * count, (rank + 1) * count)
            expected = np.concatenate([t[part] for t in table])
            assert np.array_equal(me.get(many, count * world, dtype), expected)
    """
    run(program, world)


def test_all_gather_and_all_to_all_of_unequal_parts(run: Run) -> None:
    """Given parts with gaps, empty parts and parts of several chunks."""
    program = """
    comm = me.join()
    address = lambda a: a.ctypes.data
    type = TYPES["int32"]
    # sizes[i][j]: what rank i sends to rank j
    sizes = np.array([[3, 0, 50_000], [1, 2, 0], [0, 70_001, 4]], np.uint64)
    def block(i, j): return np.arange(int(sizes[i, j]), dtype=np.int32) + 1000 * i + 100_000 * j
    sends, receives = sizes[rank].copy(), sizes[:, rank].copy()
    def places(counts): return np.concatenate([[0], np.cumsum(counts + 1)[:-1]]).astype(np.uint64)
    out = np.zeros(int(sends.sum()) + world, np.int32)
    for j in range(world):
        start = int(places(sends)[j])
        out[start : start + int(sends[j])] = block(rank, j)
    space = int(receives.sum()) + world
    send, recv = me.put(out), me.put(np.full(space, -1, np.int32))
    sent_from, received_at = places(sends), places(receives)
    me.ok("HcclAlltoAllV", send, address(sends), address(sent_from), type,
          recv, address(receives), address(received_at), type, comm, me.stream)
    me.done()
    got = me.get(recv, space, np.int32)
    expected = np.full(space, -1, np.int32)
    for i in range(world):
        start = int(received_at[i])
        expected[start : start + int(receives[i])] = block(i, rank)
    assert np.array_equal(got, expected)

    dense = me.put(np.concatenate([block(rank, j) for j in range(world)]))
    me.ok("HcclAlltoAllVC", dense, address(sizes), type, recv, type, comm, me.stream)
    me.done()
    expected = np.concatenate([block(i, rank) for i in range(world)])
    assert np.array_equal(me.get(recv, len(expected), np.int32), expected)

    counts, at = np.array([4, 0, 2], np.uint64), np.array([2, 0, 0], np.uint64)
    recv = me.put(np.zeros(6, np.int32))
    own = me.put(np.full(int(counts[rank]), rank + 1, np.int32))
    me.ok("HcclAllGatherV", own, int(counts[rank]), recv, address(counts), address(at), type, comm,
          me.stream)
    me.done()
    assert me.get(recv, 6, np.int32).tolist() == [3, 3, 1, 1, 1, 1]
    """
    run(program, 3)


def test_counts_are_copied_at_the_call(run: Run) -> None:
    program = """
    comm = me.join()
    counts, at = np.array([1, 1], np.uint64), np.array([0, 1], np.uint64)
    own, recv = me.put(np.array([rank + 5], np.int32)), me.put(np.zeros(2, np.int32))
    graph_stream = me.new_stream()
    me.capture(graph_stream)
    me.ok("HcclAllGatherV", own, 1, recv, counts.ctypes.data, at.ctypes.data, TYPES["int32"], comm,
          graph_stream)
    graph = me.captured(graph_stream)
    counts[:], at[:] = 99, 77
    me.ok("aclmdlRIExecuteAsync", graph, me.stream)
    me.done()
    tell(me.get(recv, 2, np.int32).tolist())
    """
    assert run(program) == [[[5, 6]]] * 2


def test_send_and_receive_in_rings_of_any_size(run: Run) -> None:
    program = """
    comm, type = me.join(), TYPES["float32"]
    for count in (1, 3, 200_003):
        out, into = me.put(np.full(count, rank, np.float32)), me.put(np.zeros(count, np.float32))
        right, left = (rank + 1) % world, (rank - 1) % world
        first, second = [("HcclSend", out, right), ("HcclRecv", into, left)][:: 1 if rank else -1]
        for name, buffer, peer in (first, second):
            me.ok(name, buffer, count, type, peer, comm, me.stream)
        me.done()
        assert (me.get(into, count, np.float32) == left).all()
    """
    run(program, 3)


BATCH = """
comm, type, count = me.join(), TYPES["int16"], 100_001
def item(kind, buffer, peer): return SendRecvItem(kind, buffer, count, type, peer)
outs = [me.put(np.full(count, 10 * rank + peer, np.int16)) for peer in range(world)]
ins = [me.put(np.zeros(count, np.int16)) for _ in range(world)]
def check():
    me.done()
    for peer in range(world):
        assert (me.get(ins[peer], count, np.int16) == 10 * peer + rank).all()
"""


def test_a_batch_runs_side_by_side_in_any_order(run: Run) -> None:
    """Given every rank listing all its sends first, also to itself: no rank waits for another."""
    program = (
        BATCH
        + """
items = [item(0, outs[p], p) for p in range(world)] + [item(1, ins[p], p) for p in range(world)]
me.ok("HcclBatchSendRecv", (SendRecvItem * len(items))(*items), len(items), comm, me.stream)
check()
"""
    )
    run(program, 3)


def test_a_group_is_a_batch(run: Run) -> None:
    """Given sends before receives on all ranks, which would wait for each other one by one."""
    program = (
        BATCH
        + """
me.ok("HcclGroupStart")
for peer in range(world):
    me.ok("HcclGroupStart")
    me.ok("HcclSend", outs[peer], count, type, peer, comm, me.stream)
    me.ok("HcclRecv", ins[peer], count, type, peer, comm, me.stream)
    me.ok("HcclGroupEnd")
me.ok("HcclGroupEnd")
check()
tell(me.call("HcclGroupEnd"))
"""
    )
    assert run(program, 3) == [[1]] * 3


def test_a_barrier_waits_for_the_last_rank(run: Run) -> None:
    """Given a rank that first writes a file: it is there when the others are through."""
    program = """
    comm = me.join()
    if rank == 0:
        time.sleep(0.3)
        me.publish("written", b"")
    me.ok("HcclBarrier", comm, me.stream)
    me.done()
    tell((me._folder / "written").exists())
    """
    assert run(program, 3) == [[True]] * 3


def test_nothing_to_do_is_no_task(run: Run) -> None:
    program = """
    comm = me.join()
    tell(me.call("HcclAllReduce", None, None, 0, TYPES["float32"], SUM, comm, me.stream))
    tell(me.call("HcclBroadcast", None, 0, TYPES["float32"], 0, comm, me.stream))
    me.done()
    """
    assert run(program, 1) == [[0, 0]]
