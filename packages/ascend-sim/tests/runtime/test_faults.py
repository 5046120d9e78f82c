# SPDX-License-Identifier: Apache-2.0
"""Faults and hooks, at the C ABI."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_uint64, c_void_p
from pathlib import Path

import acl_abi
import pytest
from acl_abi import Acl

HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, c_void_p)
BEFORE, INSTEAD, AFTER = range(3)
LOST = 507010


@contextmanager
def fault(acl: Acl, text: str) -> Iterator[Callable[[], int]]:
    """A fault at work; gives how often it has struck."""
    number, hits = c_uint64(), c_uint64()
    acl.ok("ascendSimAddFault", text.encode(), byref(number))

    def count() -> int:
        acl.ok("ascendSimFaultHits", number, byref(hits))
        return hits.value

    try:
        yield count
    finally:
        acl.ok("ascendSimRemoveFault", number, None)


@contextmanager
def hook(
    acl: Acl, phase: int, function: Callable[[str, int], int], name: str | None = None
) -> Iterator[None]:
    callback, number = HOOK(lambda call, code, _: function(call.decode(), code)), c_uint64()
    acl._alive.append(callback)
    target = None if name is None else name.encode()
    acl.ok("ascendSimAddHook", target, phase, callback, None, byref(number))
    try:
        yield
    finally:
        acl.ok("ascendSimRemoveHook", number)


def codes_of_malloc(acl: Acl, calls: int, size: int = 64) -> list[int]:
    return [acl.aclrtMalloc(byref(c_void_p()), size, 0) for _ in range(calls)]


# --- when a fault strikes ---


@pytest.mark.parametrize(
    ("when", "codes"),
    [
        ("", [207001, 0, 0, 0]),
        (",nth=3", [0, 0, 207001, 0]),
        (",every=2", [0, 207001, 0, 207001]),
        (",from=3", [0, 0, 207001, 207001]),
        (",nth=2,code=507000", [0, 507000, 0, 0]),
        (",code=ACL_ERROR_RT_NO_STREAM_RESOURCE", [207008, 0, 0, 0]),
    ],
)
def test_a_call_fails_at_the_occasion_that_the_fault_names(
    acl: Acl, when: str, codes: list[int]
) -> None:
    with fault(acl, "fail:aclrtMalloc" + when):
        assert codes_of_malloc(acl, 4) == codes
    assert codes_of_malloc(acl, 1) == [0]


def test_a_failed_call_does_nothing_and_says_which_fault_it_was(acl: Acl) -> None:
    free, _ = acl.memory()
    with fault(acl, "fail:malloc") as hits:
        assert codes_of_malloc(acl, 1) == [207001]
        assert 'fault "fail:malloc"' in acl.message()
        assert hits() == 1
    assert acl.memory()[0] == free


def test_memory_runs_out_at_a_size(acl: Acl) -> None:
    with fault(acl, "fail:malloc,bytes=1000,from=1"):
        assert codes_of_malloc(acl, 1, size=999) == [0]
        assert codes_of_malloc(acl, 1, size=1000) == [207001]
        assert acl.aclrtMallocHost(byref(c_void_p()), 1000) == 207001


@pytest.mark.parametrize(
    ("kind", "call", "code"),
    [
        ("stream", lambda acl: acl.aclrtCreateStream(byref(c_void_p())), 207005),
        ("capture", lambda acl: acl.aclmdlRICaptureBegin(acl.stream(), 0), 207005),
        ("sync", lambda acl: acl.aclrtSynchronizeDevice(), 507000),
        ("launch", lambda acl: acl.kernel(acl.stream()), 507000),
        ("copy", lambda acl: acl.aclrtMemset(acl.buffer(), 8, 0, 8), 507899),
        ("any", lambda acl: acl.aclrtResetDevice(0), 507000),
    ],
)
def test_a_kind_of_functions_fails(
    acl: Acl, kind: str, call: Callable[[Acl], int], code: int
) -> None:
    nth = 2 if kind == "copy" else 1  # the buffer is filled by a copy, too
    with fault(acl, f"fail:{kind},nth={nth}"):
        assert call(acl) == code


def test_a_fault_of_another_device_does_not_strike(acl: Acl) -> None:
    with fault(acl, "fail:aclrtMalloc,device=5"):
        assert codes_of_malloc(acl, 1) == [0]
    with fault(acl, "fail:aclrtMalloc,device=0"):
        assert codes_of_malloc(acl, 1) == [207001]


# --- tasks ---


def test_a_broken_kernel_surfaces_at_the_next_synchronization(acl: Acl) -> None:
    stream, ran = acl.stream(), list[int]()
    with fault(acl, "break:ascendSimLaunchHostTask,nth=2"):
        assert acl.kernel(stream, lambda: ran.append(1)) == 0
        assert acl.kernel(stream, lambda: ran.append(2)) == 0
        assert acl.aclrtSynchronizeStream(stream) == 507015
    assert ran == [1]
    assert "break:ascendSimLaunchHostTask,nth=2" in acl.message()


def test_executions_in_replays_count(acl: Acl) -> None:
    stream = acl.stream()
    acl.begin(stream)
    assert acl.kernel(stream) == 0
    graph = acl.end(stream)
    with fault(acl, "break:launch,nth=2,code=507014"):
        acl.execute(graph, stream)
        acl.sync(stream)
        acl.execute(graph, stream)
        assert acl.aclrtSynchronizeStream(stream) == 507014


def test_a_stream_hangs_until_the_fault_is_removed(acl: Acl) -> None:
    stream, other = acl.stream(), acl.stream()
    buffer = acl.buffer()
    with fault(acl, "hang:aclrtMemsetAsync"):
        acl.fill(stream, buffer, 1)
        assert acl.aclrtSynchronizeStreamWithTimeout(stream, 50) == 507046
        acl.fill(other, buffer, 2)
        acl.sync(other)
    acl.sync(stream)
    assert acl.byte(buffer) == 1


def test_a_hanging_stream_can_be_destroyed_by_force(acl: Acl) -> None:
    stream = acl.stream()
    with fault(acl, "hang:aclrtMemsetAsync"):
        acl.fill(stream, acl.buffer(), 1)
        acl.ok("aclrtDestroyStreamForce", stream)


# --- devices and processes ---


def test_a_lost_device_answers_no_call_but_can_be_left(acl: Acl) -> None:
    stream = acl.stream()
    with fault(acl, "lose:sync,nth=2"):
        acl.sync(stream)
        assert acl.aclrtSynchronizeStream(stream) == LOST
        assert codes_of_malloc(acl, 2) == [LOST, LOST]
        assert acl.kernel(stream) == LOST
        acl.ok("aclrtResetDeviceForce", 0)
        acl.ok("aclrtSetDevice", 0)
        assert codes_of_malloc(acl, 1) == [LOST]
    assert codes_of_malloc(acl, 1) == [0]


def test_a_process_dies_at_a_call(library: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(Path(acl_abi.__file__).parent)!r})
from pathlib import Path
from acl_abi import *
acl = Acl(Path({str(library)!r}))
acl.ok("aclrtSetDevice", 0)
acl.stream(); print("one", flush=True)
acl.stream(); print("two", flush=True)
"""
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ
        | {"ASCEND_SIM_CONFIG": '{"faults": "die:aclrtCreateStream,nth=2;fail:sync"}'},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert process.stdout == "one\n"


# --- grammar ---


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("fail", "ACTION:TARGET"),
        ("explode:malloc", "fail, break, hang, die or lose"),
        ("fail:maloc", "malloc, copy, sync"),
        ("fail:malloc,nth=0", "counts from 1"),
        ("fail:malloc,nth=x", "whole number"),
        ("fail:malloc,nth=1,every=2", "only one of"),
        ("fail:malloc,when=1", "nth, every, from, code, bytes and device"),
        ("hang:malloc,code=1", "only fail and break"),
        ("fail:sync,bytes=1", "for allocations"),
    ],
)
def test_a_text_that_is_no_fault_is_refused_with_what_is_valid(
    acl: Acl, text: str, named: str
) -> None:
    assert acl.ascendSimAddFault(text.encode(), byref(c_uint64())) == 100000
    assert named in acl.message()


def test_a_wrong_fault_in_the_configuration_fails_every_call(process: Callable[..., str]) -> None:
    out = process(
        'print(acl.aclrtSetDevice(0), "fail:maloc" in acl.message(), acl.aclrtSetDevice(0))',
        '{"faults": "fail:maloc"}',
        device=False,
    )
    assert out.split() == ["100000", "True", "100000"]


# --- hooks ---


def test_hooks_see_a_call_before_and_after(acl: Acl) -> None:
    seen = list[tuple[str, str, int]]()
    with (
        hook(acl, BEFORE, lambda name, code: seen.append(("before", name, code)) or 0),
        hook(acl, AFTER, lambda name, code: seen.append(("after", name, code)) or 0),
    ):
        acl.aclrtMalloc(None, 0, 0)
    assert seen == [("before", "aclrtMalloc", 0), ("after", "aclrtMalloc", 100000)]
    acl.aclrtMalloc(None, 0, 0)
    assert len(seen) == 2


def test_a_hook_can_answer_instead_of_a_function(acl: Acl) -> None:
    with hook(acl, INSTEAD, lambda name, code: 207001, "aclrtMalloc"):
        assert codes_of_malloc(acl, 1) == [207001]
        acl.ok("aclrtSynchronizeDevice")


def test_what_a_hook_calls_passes_by_all_hooks(acl: Acl) -> None:
    names = list[str]()

    def call_more(name: str, code: int) -> int:
        names.append(name)
        return acl.aclrtSynchronizeDevice()

    with hook(acl, BEFORE, call_more):
        acl.ok("aclrtSynchronizeDevice")
    assert names == ["aclrtSynchronizeDevice"]


def test_hooks_come_and_go_while_threads_call(acl: Acl) -> None:
    enough, seen = threading.Event(), list[str]()

    def call() -> None:
        acl.ok("aclrtSetDevice", 0)
        while not enough.is_set():
            acl.ok("aclrtSynchronizeDevice")

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        with hook(acl, AFTER, lambda name, code: seen.append(name) or 0):
            acl.ok("aclrtSynchronizeDevice")
    enough.set()
    for thread in threads:
        thread.join()
    assert {"aclrtSynchronizeDevice"} <= set(seen) <= {"aclrtSynchronizeDevice", "aclrtSetDevice"}
    assert len(seen) >= 100


def test_every_implemented_function_passes_the_hooks(process: Callable[..., str]) -> None:
    """Called with null arguments only, which also none of them may crash on."""
    out = process(
        """
        import ctypes, tomllib
        import ascend_sim
        table = ascend_sim.library_path("libascendcl.so").parent.parent / "abi.toml"
        functions = tomllib.loads(table.read_text())["libascendcl"]["functions"]
        # They tell of errors, are of other libraries' kind, or end the test.
        exempt = {
            "aclGetRecentErrMsg", "aclrtGetLastError", "aclrtPeekAtLastError", "aclAppLog",
            "AlogCheckDebugLevel", "CheckLogLevel", "mmGetTid",
        }
        plain = ctypes.CDLL(acl._library._name)  # without the types of arguments
        seen = set()
        HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
        callback = HOOK(lambda name, code, _: seen.add(name.decode()) or 0)
        number = ctypes.c_uint64()
        acl.ok("ascendSimAddHook", None, 0, callback, None, ctypes.byref(number))
        names = {n for n, entry in functions.items() if entry["status"] == "implemented"} - exempt
        for name in sorted(names):
            acl.aclrtSetDevice(0)
            getattr(plain, name)(*[None] * 8)
        print(*sorted(names - seen))
        """
    )
    assert out.split() == []
