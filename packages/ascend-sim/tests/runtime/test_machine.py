# SPDX-License-Identifier: Apache-2.0
"""Devices that several processes and other tenants share."""

import json
import os
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest
from machine import Run

# --- processes ---


def test_what_one_process_takes_another_does_not_find(begin: Callable[..., Run]) -> None:
    run = begin()
    one, other = run.start(), run.start()
    one.do("streams = [acl.stream() for _ in range(60)]; buffer = acl.buffer(1 << 20)")
    assert other.free() == 40
    assert int(other.do("print(acl.memory()[0])")) <= (1 << 30) - (1 << 20)
    other.do("streams = [acl.stream() for _ in range(40)]")
    assert other.do("print(acl.aclrtCreateStream(byref(c_void_p())))").strip() == "207005"
    assert "other processes hold 60" in other.do("print(acl.message())")
    one.do('acl.ok("aclrtDestroyStream", streams.pop())')
    assert other.do("print(acl.aclrtCreateStream(byref(c_void_p())))").strip() == "0"


def test_devices_are_accounted_each_by_itself(begin: Callable[..., Run]) -> None:
    run = begin()
    one, other = run.start(), run.start()
    one.do('acl.ok("aclrtSetDevice", 1); stream = acl.stream()')
    assert (one.free(), other.free()) == (99, 100)


def test_a_visible_device_is_accounted_as_the_one_of_the_machine(begin: Callable[..., Run]) -> None:
    run = begin()
    one, other = run.start(ASCEND_RT_VISIBLE_DEVICES="1"), run.start()
    one.do("stream = acl.stream()")
    assert (one.free(), other.free()) == (99, 100)
    other.do('acl.ok("aclrtSetDevice", 1)')
    assert other.free() == 99


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_a_process_that_ends_gives_back_what_it_held(begin: Callable[..., Run], end: str) -> None:
    run = begin()
    one, other = run.start(), run.start()
    one.do("streams = [acl.stream() for _ in range(60)]")
    other.do("streams = [acl.stream() for _ in range(40)]")
    if end == "kill":
        one.kill()
    else:
        one.process.communicate(timeout=60)
    other.do("streams += [acl.stream() for _ in range(60)]")
    assert other.free() == 0


def test_a_killed_process_that_nobody_waited_for_is_dead(begin: Callable[..., Run]) -> None:
    run = begin()
    one, other = run.start(), run.start()
    one.do("streams = [acl.stream() for _ in range(60)]")
    one.process.kill()  # a zombie from now on, because its parent does not wait
    deadline = time.monotonic() + 30
    while other.free() != 100 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert other.free() == 100


def test_a_process_killed_while_it_takes_and_gives_blocks_nobody(
    begin: Callable[..., Run],
) -> None:
    run = begin()
    other = run.start()
    for _ in range(5):
        one = run.start()
        one.process.stdin.write(
            "while True: acl.ok('aclrtFree', acl.buffer()); acl.aclrtDestroyStream(acl.stream())\n"
        )
        one.process.stdin.flush()
        for _ in range(20):
            other.do("stream = acl.stream(); acl.ok('aclrtDestroyStream', stream)")
        one.kill()
        assert other.free() == 100


def test_a_fork_accounts_for_itself(begin: Callable[..., Run]) -> None:
    run = begin()
    one = run.start()
    one.do("streams = [acl.stream() for _ in range(10)]")
    one.do(
        "child = os.fork(); child or (acl.ok('aclrtSetDevice', 1), acl.stream(), signal.pause())"
    )
    deadline = time.monotonic() + 30
    streams: list[list[int]] = []
    while streams != [[10, 0], [0, 1]] and time.monotonic() < deadline:
        rows = run.usage()["processes"]
        streams = [[used["streams"] for used in row["used"]] for row in rows]
    assert streams == [[10, 0], [0, 1]]
    one.do("os.kill(child, signal.SIGKILL); os.waitpid(child, 0)")
    assert len(run.usage()["processes"]) == 1


def test_a_process_that_got_the_id_of_a_dead_one_does_not_keep_its_row_alive(
    begin: Callable[..., Run],
) -> None:
    """A process is its id and its start; here the start in the row is made another."""
    run = begin()
    one, other = run.start(), run.start()
    one.do("streams = [acl.stream() for _ in range(60)]")
    assert other.free() == 40
    content = run.ledger.read_bytes()
    row = content.index(struct.pack("=q", one.process.pid))
    (start,) = struct.unpack_from("=Q", content, row + 8)
    with run.ledger.open("r+b") as file:
        file.seek(row + 8)
        file.write(struct.pack("=Q", start - 1))
    assert other.free() == 100


def test_a_program_that_replaces_another_does_not_inherit_its_row(
    begin: Callable[..., Run],
) -> None:
    run = begin()
    one, other = run.start(), run.start()
    one.do("streams = [acl.stream() for _ in range(60)]")
    assert other.free() == 40
    one.process.stdin.write("os.execv(sys.executable, [sys.executable, '-c', sys.orig_argv[2]])\n")
    one.process.stdin.flush()
    one._read_until("ready")
    assert one.free() == 100


def test_the_ledger_says_who_holds_what(begin: Callable[..., Run]) -> None:
    run = begin(tenants="streams=7")
    one = run.start()
    one.do("acl.stream(), acl.event(), acl.ok('aclrtMalloc', byref(c_void_p()), 1000, 0)")
    usage = run.usage()
    (process,), (tenant,) = usage["processes"], usage["tenants"]
    assert process["pid"] == one.process.pid
    assert process["used"][0] == {
        "streams": 1,
        "stream_ids": 1,
        "events": 0,
        "notifies": 0,
        "models": 0,
        "hbm_bytes": 1024 + 32,
    }
    assert tenant["used"][1]["streams"] == 7
    assert (usage["devices"], usage["limits"]["streams"]) == (2, 100)


# --- ledgers that are refused ---


def _refusal(run: Run) -> str:
    code = f"""
        import ctypes
        acl = ctypes.CDLL({str(run.library)!r})
        acl.aclGetRecentErrMsg.restype = ctypes.c_char_p
        print(acl.aclrtSetDevice(0), acl.aclGetRecentErrMsg().decode())
        print(acl.aclrtSetDevice(0), acl.aclGetRecentErrMsg().decode())
    """
    environ = {
        "ASCEND_SIM_CONFIG": json.dumps(run.config),
        "ASCEND_SIM_LEDGER": str(run.ledger),
    }
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_a_ledger_of_another_version_is_refused_each_time(begin: Callable[..., Run]) -> None:
    run = begin()
    content = bytearray(run.ledger.read_bytes())
    content[8:40] = b"9.9.9".ljust(32, b"\0")
    run.ledger.write_bytes(content)
    refusal = _refusal(run)
    assert refusal.count("100000 ") == 2
    assert "was made by ascend-sim 9.9.9" in refusal
    assert "All processes of a run need the same version" in refusal


def test_a_ledger_of_another_size_is_refused(begin: Callable[..., Run]) -> None:
    run = begin()
    run.ledger.write_bytes(run.ledger.read_bytes() + b"\0")
    assert "All processes of a run need the same version" in _refusal(run)


@pytest.mark.parametrize("content", [b"", b"ASIM", b"\x7fELF" * 1000])
def test_another_file_is_no_ledger(begin: Callable[..., Run], content: bytes) -> None:
    run = begin()
    run.ledger.write_bytes(content)
    assert "is not a ledger of ascend-sim" in _refusal(run)


def test_a_ledger_that_is_gone_says_that_the_run_is_over(begin: Callable[..., Run]) -> None:
    run = begin()
    run.ledger.unlink()
    assert "start the program with `ascend-sim run` again" in _refusal(run)


def test_a_ledger_of_another_machine_is_refused(begin: Callable[..., Run]) -> None:
    run = begin()
    run.config = run.config | {"streams": 99}
    refusal = _refusal(run)
    assert "streams=99" in refusal
    assert "than the ledger is for" in refusal
    assert "streams=100" in refusal


# --- other tenants ---


def _program(tenants: str, code: str, process: Callable[..., str]) -> str:
    return process(code, json.dumps({"streams": 100, "tenants": tenants}))


def test_a_tenant_leaves_less_and_is_named_at_the_end(process: Callable[..., str]) -> None:
    _program(
        "streams=70;streams=10,events=65530",
        """
        from ctypes import byref, c_void_p
        assert acl.streams_available() == 20
        streams = [acl.stream() for _ in range(20)]
        assert acl.aclrtCreateStream(byref(c_void_p())) == 207005
        assert "other tenants hold 80" in acl.message()
        """,
        process,
    )


def test_a_tenant_takes_step_by_step(process: Callable[..., str]) -> None:
    """70 in 3 steps: 24, 23, 23."""
    printed = _program(
        "streams=70,after_ms=200,steps=3,every_ms=50",
        """
        import time
        seen = [acl.streams_available()]
        end = time.monotonic() + 60
        while seen[-1] != 30 and time.monotonic() < end:
            number = acl.streams_available()
            if number != seen[-1]:
                seen.append(number)
        time.sleep(0.2)
        print(set(seen) <= {100, 76, 53, 30}, seen[0], acl.streams_available())
        """,
        process,
    )
    assert printed.split() == ["True", "100", "30"]


def test_a_tenant_gets_only_what_is_there_and_only_once(process: Callable[..., str]) -> None:
    _program(
        "streams=70,after_ms=500",
        """
        import time
        streams = [acl.stream() for _ in range(90)]
        time.sleep(0.6)
        assert acl.streams_available() == 0
        for stream in streams:
            acl.ok("aclrtDestroyStream", stream)
        assert acl.streams_available() == 90
        """,
        process,
    )


@pytest.mark.parametrize(
    ("tenant", "code", "call"),
    [
        ("stream_ids=32768", 207008, "acl.aclrtCreateStream(byref(c_void_p()))"),
        ("events=65536", 207007, "acl.aclrtCreateEventWithFlag(byref(c_void_p()), c_uint32(1))"),
        ("models=32768", 207010, "acl.aclmdlRICaptureBegin(acl.stream(), 0)"),
        ("hbm_bytes=8589934592", 207001, "acl.aclrtMalloc(byref(c_void_p()), 8, 0)"),
    ],
)
def test_what_a_tenant_took_ends_with_the_code_of_the_resource(
    process: Callable[..., str], tenant: str, code: int, call: str
) -> None:
    _program(
        tenant,
        f"""
        from ctypes import byref, c_uint32, c_void_p
        assert {call} == {code}, acl.message()
        """,
        process,
    )


@pytest.mark.parametrize("mode", ["software", "hardware"])
def test_without_a_notify_a_graph_waits_three_seconds_and_is_207009(
    process: Callable[..., str], mode: str
) -> None:
    """ModelEndGraph, capture_model.cc: 3000 attempts, a millisecond apart."""
    process(
        f"""
        stream = acl.stream()
        acl.begin(stream)
        code, graph = acl.try_end(stream)
        if {mode == "software"}:
            code = acl.aclmdlRIExecuteAsync(graph, stream)
        else:
            assert graph.value is None
        assert code == 207009, code
        acl.sync(stream)
        """,
        json.dumps({"sq": mode, "tenants": "notifies=8192"}),
    )


@pytest.mark.parametrize(
    ("tenants", "named"),
    [
        ("cores=3", "cores=3"),
        ("streams=x", "streams=x"),
        ("streams=-1", "streams=-1"),
        ("streams=1,steps=0", "steps (at least 1)"),
        ("streams", "key=number"),
        (";".join(["streams=1"] * 17), "at most 16"),
    ],
)
def test_a_tenant_that_makes_no_sense_is_refused(
    process: Callable[..., str], tenants: str, named: str
) -> None:
    printed = process(
        "print(acl.aclrtSetDevice(0), acl.message())",
        json.dumps({"tenants": tenants}),
        device=False,
    )
    assert printed.startswith("100000 ")
    assert named in printed
