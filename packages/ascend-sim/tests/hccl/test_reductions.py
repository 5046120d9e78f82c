# SPDX-License-Identifier: Apache-2.0
"""Reductions: every type and operation against numpy, for one to four ranks."""

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., list[Any]]

REDUCIBLE = ["int8", "int16", "int32", "int64", "float16", "bfloat16", "float32"]


@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_all_reduce_gives_every_rank_the_reduction_in_rank_order(run: Run, world: int) -> None:
    """Given odd sizes around the size of a block and a chunk: bit-equal to numpy on all ranks."""
    program = f"""
    comm = me.join()
    for dtype in {REDUCIBLE}:
        for op in (SUM, PROD, MAX, MIN):
            for count in (1, 7, 1023, 65537):
                send = me.put(data(rank, count, dtype))
                recv = me.put(np.zeros(count, stored(dtype)))
                me.ok("HcclAllReduce", send, recv, count, TYPES[dtype], op, comm, me.stream)
                me.done()
                expected = reduced([data(r, count, dtype) for r in range(world)], dtype, op)
                assert np.array_equal(me.get(recv, count, stored(dtype)), expected), (dtype, op)
    """
    run(program, world)


def test_all_reduce_in_place_of_several_chunks_equals_numpy(run: Run) -> None:
    program = """
    comm, count = me.join(), 1_000_003
    buffer = me.put(data(rank, count, "float32"))
    me.ok("HcclAllReduce", buffer, buffer, count, TYPES["float32"], SUM, comm, me.stream)
    me.done()
    expected = reduced([data(r, count, "float32") for r in range(world)], "float32", SUM)
    assert np.array_equal(me.get(buffer, count, np.float32), expected)
    """
    run(program, 3)


def test_halves_are_added_in_fp32_and_rounded_once(run: Run) -> None:
    """Given 2048 + 1 + 1 in fp16, where 2048 + 1 rounds back to 2048: the sum is 2050."""
    program = """
    comm = me.join()
    value = np.array([2048 if rank == 0 else 1], np.float16)
    buffer = me.put(value)
    me.ok("HcclAllReduce", buffer, buffer, 1, TYPES["float16"], SUM, comm, me.stream)
    me.done()
    tell(float(me.get(buffer, 1, np.float16)[0]))
    """
    assert run(program, 3) == [[2050.0]] * 3


@pytest.mark.parametrize("world", [1, 2, 4])
def test_reduce_and_reduce_scatter(run: Run, world: int) -> None:
    program = """
    comm = me.join()
    for dtype in ("float32", "bfloat16", "int64"):
        for count in (3, 70001):
            whole = [data(r, count * world, dtype) for r in range(world)]
            send = me.put(whole[rank])
            recv = me.put(np.zeros(count, stored(dtype)))
            me.ok("HcclReduceScatter", send, recv, count, TYPES[dtype], SUM, comm, me.stream)
            me.done()
            part = slice(rank * count, (rank + 1) * count)
            expected = reduced([w[part] for w in whole], dtype, SUM)
            assert np.array_equal(me.get(recv, count, stored(dtype)), expected)
            root = world - 1
            me.ok("HcclReduce", send, recv, count, TYPES[dtype], MAX, root, comm, me.stream)
            me.done()
            if rank == root:
                expected = reduced([w[:count] for w in whole], dtype, MAX)
                assert np.array_equal(me.get(recv, count, stored(dtype)), expected)
    """
    run(program, world)


def test_reduce_scatter_of_unequal_parts(run: Run) -> None:
    program = """
    comm = me.join()
    counts, places = np.array([5, 0, 3], np.uint64), np.array([4, 4, 0], np.uint64)
    whole = [data(r, 9, "int32") for r in range(world)]
    send, recv = me.put(whole[rank]), me.put(np.zeros(5, np.int32))
    own = int(counts[rank])
    me.ok("HcclReduceScatterV", send, counts.ctypes.data, places.ctypes.data, recv, own,
          TYPES["int32"], SUM, comm, me.stream)
    me.done()
    part = slice(int(places[rank]), int(places[rank]) + own)
    assert np.array_equal(me.get(recv, own, np.int32), sum(w[part] for w in whole))
    """
    run(program, 3)


def test_integers_wrap_around(run: Run) -> None:
    program = """
    comm = me.join()
    buffer = me.put(np.array([100, -100], np.int8))
    me.ok("HcclAllReduce", buffer, buffer, 2, TYPES["int8"], SUM, comm, me.stream)
    me.done()
    tell(me.get(buffer, 2, np.int8).tolist())
    """
    assert run(program) == [[[-56, 56]]] * 2


@pytest.mark.parametrize("dtype", ["float64", "uint64", "uint8", "uint16", "uint32"])
def test_a_type_that_the_chip_cannot_reduce_is_refused(run: Run, dtype: str) -> None:
    """As torch_npu has it: fp64 and uint64 only on 950, and no other unsigned type."""
    program = f"""
    comm, buffer = me.join(), me.put(np.zeros(4, "{dtype}"))
    code = me.call("HcclAllReduce", buffer, buffer, 4, TYPES["{dtype}"], SUM, comm, me.stream)
    tell([code, me.message()])
    """
    [[[code, message]]] = run(program, 1)
    assert code == 5  # HCCL_E_NOT_SUPPORT
    assert "fp32 and bf16" in message
