# SPDX-License-Identifier: Apache-2.0
"""Making communicators: who belongs to them, what they cost, what goes wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Ranks

Run = Callable[..., list[Any]]

PARA, PTR, TIMEOUT, CONNECT, RUNTIME = 1, 2, 9, 11, 15


def test_a_communicator_knows_its_rank_size_and_name(run: Run) -> None:
    program = """
    comm = me.join()
    number, size, name = c_uint32(), c_uint32(), create_string_buffer(128)
    me.ok("HcclGetRankId", comm, byref(number))
    me.ok("HcclGetRankSize", comm, byref(size))
    me.ok("HcclGetCommName", comm, name)
    tell([number.value, size.value, name.value.decode()])
    """
    told = [t for [t] in run(program, 3)]
    assert [t[:2] for t in told] == [[0, 3], [1, 3], [2, 3]]
    assert len({t[2] for t in told}) == 1


def test_a_configured_name_is_kept(run: Run) -> None:
    program = """
    comm, name = me.join(name="meeting", **{"exec_timeout": 7}), create_string_buffer(128)
    named, info = c_void_p(), me.root("second")
    config = me.config()
    config.name = b"tensor parallel"
    me.ok("HcclCommInitRootInfoConfig", world, byref(info), rank, byref(config), byref(named))
    me.ok("HcclGetCommName", named, name)
    tell(name.value.decode())
    """
    assert run(program) == [["tensor parallel"]] * 2


def test_subgroups_work_side_by_side_with_the_whole(run: Run) -> None:
    """Given a communicator of all and one of each half, with work in flight on three streams."""
    program = """
    pair = [0, 2] if rank % 2 == 0 else [1, 3]
    whole, half = me.join(), me.join(pair, name=f"half{pair[0]}")
    count, type, other = 50_000, TYPES["int32"], me.new_stream()
    a, b = (me.put(np.full(count, 10 ** rank, np.int32)) for _ in range(2))
    for _ in range(5):
        me.ok("HcclAllReduce", a, a, count, type, MAX, whole, me.stream)
        me.ok("HcclAllReduce", b, b, count, type, SUM, half, other)
    assert me.sync(other) == 0
    me.done()
    assert (me.get(a, count, np.int32) == 1000).all()
    tell(int(me.get(b, 1, np.int32)[0]))
    """
    even, odd = 101 * 2**4, 1010 * 2**4
    assert run(program, 4) == [[even], [odd], [even], [odd]]


def test_all_ranks_in_one_process(run: Run) -> None:
    program = """
    devices, comms = (c_int32 * 3)(0, 1, 2), (c_void_p * 3)()
    me.ok("HcclCommInitAll", 3, devices, comms)
    streams, buffers = [], []
    for device in range(3):
        me.ok("aclrtSetDevice", device)
        streams.append(me.new_stream())
        buffers.append(me.put(np.full(1000, device + 1, np.float32)))
    for comm, stream, buffer in zip(comms, streams, buffers):
        me.ok("HcclAllReduce", buffer, buffer, 1000, TYPES["float32"], SUM, comm, stream)
    for stream, buffer in zip(streams, buffers):
        assert me.sync(stream) == 0, me.message()
        assert (me.get(buffer, 1000, np.float32) == 6).all()
    """
    run(program, 1, config={"devices": 3})


def test_a_communicator_takes_streams_and_gives_them_back(run: Run) -> None:
    """Given HCCL's allowance of 40 streams, and none when collectives run on vector cores."""
    program = """
    def available():
        number = c_uint32()
        me.ok("aclrtGetStreamAvailableNum", byref(number))
        return number.value
    before, comm = available(), me.join()
    during = available()
    me.ok("HcclCommDestroy", comm)
    tell([before - during, before - available()])
    """
    assert run(program) == [[[40, 0]]] * 2
    assert run(program, HCCL_OP_EXPANSION_MODE="AIV") == [[[0, 0]]] * 2


def test_too_few_streams_are_named(run: Run) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    code = me.call("HcclCommInitRootInfo", 1, byref(info), 0, byref(comm))
    tell([code, me.message()])
    """
    [[[code, message]]] = run(program, 1, config={"streams": 20})
    assert code == RUNTIME
    assert "40 streams" in message
    assert "HCCL_OP_EXPANSION_MODE=AIV" in message


def test_a_missing_rank_is_named_after_the_time_out(ranks: Ranks) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    code = me.call("HcclCommInitRootInfo", world, byref(info), rank, byref(comm))
    tell([code, me.message()])
    """
    told = ranks.start(program, 4, started=2, HCCL_CONNECT_TIMEOUT="1").results()
    assert [code for [[code, _]] in told] == [TIMEOUT] * 2
    assert all("2, 3 of 4 did not join within 1 s (HCCL_CONNECT_TIMEOUT)" in m for [[_, m]] in told)


def test_ranks_that_disagree_about_their_number_are_told(run: Run) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    code = me.call("HcclCommInitRootInfo", 2 + rank, byref(info), rank, byref(comm))
    tell([code, me.message()])
    """
    told = run(program)
    assert [code for [[code, _]] in told] == [PARA] * 2
    assert all("says that there are" in message for [[_, message]] in told)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ("info.internal = b'nothing'", PARA, "4108 bytes"),
        ("ranks = 0", PARA, "1 to 64 ranks"),
        ("ranks = 65", PARA, "1 to 64 ranks"),
        ("own = 1", PARA, "rank 1 does not exist"),
        ("where = None", PTR, "rootInfo is null"),
        ("config.magic = 5", PARA, "HcclCommConfigInit"),
    ],
)
def test_bad_arguments_are_named(run: Run, change: str, code: int, text: str) -> None:
    program = f"""
    info, comm, ranks, own, config = me.root(), c_void_p(), 1, 0, me.config()
    where = byref(info)
    {change}
    code = me.call("HcclCommInitRootInfoConfig", ranks, where, own, byref(config), byref(comm))
    tell([code, me.message()])
    """
    [[[got, message]]] = run(program, 1)
    assert got == code
    assert text in message


@pytest.mark.parametrize("variable", ["HCCL_CONNECT_TIMEOUT", "HCCL_EXEC_TIMEOUT"])
@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "9999999999"])
def test_a_time_out_that_is_no_number_of_seconds_is_refused(
    run: Run, variable: str, value: str
) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    code = me.call("HcclCommInitRootInfo", 1, byref(info), 0, byref(comm))
    tell([code, me.message()])
    """
    [[[code, message]]] = run(program, 1, **{variable: value})
    assert code == PARA
    assert f"{variable}={value} must be a number of seconds from" in message


def test_a_root_info_is_good_for_one_communicator(run: Run) -> None:
    program = """
    info, comm = me.root(), c_void_p()
    me.ok("HcclCommInitRootInfo", 1, byref(info), 0, byref(comm))
    code = me.call("HcclCommInitRootInfo", 1, byref(info), 0, byref(comm))
    tell([code, me.message()])
    """
    [[[code, message]]] = run(program, 1)
    assert code == CONNECT
    assert "valid for one communicator" in message


def test_the_maker_of_a_root_info_that_has_ended_is_named(run: Run) -> None:
    program = """
    if rank == 0:
        me.root()
        sys.exit(0)
    info, comm = me.root(), c_void_p()
    time.sleep(0.5)
    code = me.call("HcclCommInitRootInfo", world, byref(info), rank, byref(comm))
    tell([code, me.message()])
    """
    [[], [[code, message]]] = run(program)
    assert code == CONNECT
    assert "which called HcclGetRootInfo, has ended" in message


def test_a_destroyed_communicator_is_no_argument(run: Run) -> None:
    program = """
    comm = me.join()
    me.ok("HcclCommDestroy", comm)
    for call in ([me.call, "HcclCommDestroy", comm], [me.call, "HcclBarrier", comm, me.stream],
                 [me.call, "HcclBarrier", None, me.stream]):
        tell(call[0](*call[1:]))
    """
    assert run(program, 1) == [[PARA, PARA, PTR]]


def test_results_have_names(run: Run) -> None:
    program = 'tell([me.call("HcclGetErrorString", code).decode() for code in (0, 9, 21, 99)])'
    names = ["HCCL_SUCCESS", "HCCL_E_TIMEOUT", "HCCL_E_REMOTE", "unknown result"]
    assert run(program, 1) == [[names]]


def test_no_file_is_made_in_shared_memory(run: Run) -> None:
    """Given a living communicator that has moved data: /dev/shm is as it was."""
    before = {path.name for path in Path("/dev/shm").iterdir()}
    program = """
    comm, buffer = me.join(), me.put(np.ones(100_000, np.float32))
    me.ok("HcclAllReduce", buffer, buffer, 100_000, TYPES["float32"], SUM, comm, me.stream)
    me.done()
    tell(sorted(os.listdir("/dev/shm")))
    """
    assert all(set(names) <= before for [names] in run(program))
