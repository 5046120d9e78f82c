# SPDX-License-Identifier: Apache-2.0
"""Ranks that are late, dead or do something else: an error that says so, never a hang."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from processes import Ranks

Run = Callable[..., list[Any]]

PARA, TIMEOUT, REMOTE, FFTS_PLUS_TIMEOUT = 1, 9, 21, 507048

# A collective that does not come to an end, and what the device and the communicator then say.
REPORT = """
code = me.sync()
message = me.message()
tell([code, me.async_error(comm), message])
"""


def test_a_rank_that_does_not_come_is_named_after_the_time_out(ranks: Ranks) -> None:
    program = (
        """
comm, buffer = me.join(), me.put(np.zeros(1000, np.float32))
if rank < 2:
    me.ok("HcclAllReduce", buffer, buffer, 1000, TYPES["float32"], SUM, comm, me.stream)
"""
        + REPORT
        + "sys.stdin.read() if rank == 2 else None\n"
    )
    ranks.start(program, 3, HCCL_EXEC_TIMEOUT="1")
    for rank in (0, 1):
        code, error, message = ranks.line(rank)
        assert (code, error) == (FFTS_PLUS_TIMEOUT, TIMEOUT)
        assert "rank 2 has not sent" in message
        assert "HcclAllReduce of 1000 x fp32 (sum)" in message
        assert "within 1 s (HCCL_EXEC_TIMEOUT)" in message


def test_the_time_out_of_a_communicator_comes_before_the_environment(run: Run) -> None:
    program = (
        """
comm, buffer = me.join(exec_timeout=1), me.put(np.zeros(4, np.float32))
if rank == 0:
    me.ok("HcclRecv", buffer, 4, TYPES["float32"], 1, comm, me.stream)
"""
        + REPORT
        + 'me.publish("done", b"") if rank == 0 else me.await_file("done")\n'
    )
    [[code, error, message]], _ = run(program, HCCL_EXEC_TIMEOUT="1000")
    assert (code, error) == (FFTS_PLUS_TIMEOUT, TIMEOUT)
    assert "rank 1 has not sent HcclSend/HcclRecv of 4 x fp32 within 1 s" in message


@pytest.mark.parametrize("world", [2, 4])
def test_a_killed_rank_is_noticed_at_once(ranks: Ranks, world: int) -> None:
    """Given a time-out of half an hour and kill -9: the others fail in well under a minute."""
    program = (
        """
comm, buffer = me.join(), me.put(np.zeros(4, np.float32))
if rank + 1 == world:
    me.await_file("never")
me.ok("HcclAllReduce", buffer, buffer, 4, TYPES["float32"], SUM, comm, me.stream)
tell("waiting")
"""
        + REPORT
    )
    ranks.start(program, world)
    for rank in range(world - 1):
        assert ranks.line(rank) == "waiting"
    ranks.kill(world - 1)
    killed = time.monotonic()
    for rank in range(world - 1):
        code, error, message = ranks.line(rank)
        assert (code, error) == (FFTS_PLUS_TIMEOUT, REMOTE)
        assert f"rank {world - 1} (process {ranks.processes[-1].pid}) has ended" in message
    assert time.monotonic() - killed < 60


def test_a_rank_that_dies_while_joining_is_noticed_at_once(ranks: Ranks) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    if rank == 1:
        me.publish("joining", b"")
    tell("joining")
    code = me.call("HcclCommInitRootInfo", world, byref(info), rank, byref(comm))
    tell([code, me.message()])
    """
    ranks.start(program, 3, started=2)
    assert ranks.line(0) == ranks.line(1) == "joining"
    time.sleep(0.5)  # until rank 1 is inside the call; before, its absence is a missing rank
    ranks.kill(1)
    code, message = ranks.line(0)
    assert code == 11  # HCCL_E_TCP_CONNECT
    assert "has ended before all ranks had joined" in message


def test_what_a_rank_sent_before_it_left_still_counts(run: Run) -> None:
    """Given a rank that takes part and leaves at once: a late rank still gets its part."""
    program = """
    comm, buffer = me.join(), me.put(np.full(9, rank + 1, np.float32))
    if rank == 1:
        time.sleep(0.2)
    for _ in range(20):
        me.ok("HcclAllReduce", buffer, buffer, 9, TYPES["float32"], MAX, comm, me.stream)
    me.done()
    me.ok("HcclCommDestroy", comm)
    """
    run(program)


DIFFERENT = {
    "counts": ("count = 40 + rank", "HcclAllReduce of 41 x fp32"),
    "types": ("type = TYPES['float32'] if rank else TYPES['int32']", "of 40 x int32"),
    "reductions": ("op = (SUM, MAX)[rank]", "(max)"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_arguments_that_differ_between_ranks_are_shown_side_by_side(run: Run, what: str) -> None:
    change, text = DIFFERENT[what]
    program = (
        f"""
comm, count, type, op = me.join(), 40, TYPES["float32"], SUM
{change}
buffer = me.put(np.zeros(64, np.float64))
me.ok("HcclAllReduce", buffer, buffer, count, type, op, comm, me.stream)
"""
        + REPORT
    )
    for [[code, error, message]] in run(program):
        assert (code, error) == (FFTS_PLUS_TIMEOUT, PARA)
        assert "the ranks execute different collectives" in message
        assert text in message


def test_different_collectives_are_shown_side_by_side(run: Run) -> None:
    program = (
        """
comm, buffer = me.join(), me.put(np.zeros(64, np.float32))
me.ok("HcclBarrier", comm, me.stream)
if rank == 0:
    me.ok("HcclAllReduce", buffer, buffer, 4, TYPES["float32"], SUM, comm, me.stream)
else:
    me.ok("HcclAllGather", buffer, buffer, 4, TYPES["float32"], comm, me.stream)
"""
        + REPORT
    )
    for [[code, error, message]] in run(program):
        assert (code, error) == (FFTS_PLUS_TIMEOUT, PARA)
        assert "HcclAllReduce of 4 x fp32 (sum), collective number 2" in message
        assert "HcclAllGather of 4 x fp32, collective number 2" in message


def test_different_roots_are_found_although_nobody_receives(run: Run) -> None:
    program = (
        """
comm, buffer = me.join(), me.put(np.zeros(4, np.float32))
me.ok("HcclBroadcast", buffer, 4, TYPES["float32"], rank, comm, me.stream)
"""
        + REPORT
    )
    for [[code, error, message]] in run(program):
        assert (code, error) == (FFTS_PLUS_TIMEOUT, PARA)
        assert "with root 0" in message
        assert "with root 1" in message


def test_a_failed_communicator_stays_failed_and_others_do_not(run: Run) -> None:
    """Given two communicators: one fails; after a reset of the device the other still works."""
    program = """
    bad, good = me.join(name="a"), me.join(name="b")
    buffer = me.put(np.zeros(64, np.float32))
    me.ok("HcclAllReduce", buffer, buffer, 4 + rank, TYPES["float32"], SUM, bad, me.stream)
    assert me.sync() == 507048
    tell([me.async_error(bad), me.async_error(good)])
    me.ok("aclrtResetDeviceForce", rank)
    me.ok("aclrtSetDevice", rank)
    stream, buffer = me.new_stream(), me.put(np.ones(64, np.float32))
    me.ok("HcclAllReduce", buffer, buffer, 64, TYPES["float32"], SUM, good, stream)
    assert me.sync(stream) == 0, me.message()
    tell(float(me.get(buffer, 1, np.float32)[0]))
    """
    assert run(program) == [[[PARA, 0], 2.0]] * 2


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("'HcclAllReduce', None, b, 4, 4, SUM, comm, me.stream", 2, "sendBuf is null"),
        ("'HcclAllReduce', b, b, 4, 4, 9, comm, me.stream", 1, "reduction 9 does not exist"),
        ("'HcclAllReduce', b, b, 4, 77, SUM, comm, me.stream", 1, "data type 77 does not exist"),
        ("'HcclBroadcast', b, 4, 4, 1, comm, me.stream", 1, "root 1 does not exist"),
        ("'HcclSend', b, 4, 4, 5, comm, me.stream", 1, "destRank 5 does not exist"),
        ("'HcclRecv', None, 4, 4, 0, comm, me.stream", 2, "the buffer is null"),
        ("'HcclBatchSendRecv', None, 1, comm, me.stream", 2, "sendRecvInfo is null"),
        ("'HcclAlltoAll', b, 1, 4, b, 2, 4, comm, me.stream", 1, "sendCount and recvCount differ"),
        ("'HcclBarrier', comm, None", 2, "stream is null"),
        ("'HcclBarrier', comm, 12345", 15, "the stream rejected the collective"),
        ("'HcclBarrier', 12345, me.stream", 1, "not a live communicator"),
        ("'HcclGetCommAsyncError', comm, None", 2, "asyncError is null"),
    ],
)
def test_bad_arguments_are_named(run: Run, call: str, code: int, text: str) -> None:
    program = f"""
    comm, b = me.join(), me.put(np.zeros(4, np.float32))
    tell([me.call({call}), me.message()])
    """
    [[[got, message]]] = run(program, 1)
    assert got == code
    assert text in message
