# SPDX-License-Identifier: Apache-2.0
"""Microseconds that the simulator's runtime adds to a task: launched, and replayed in a graph.

The runtime is called through ctypes, without torch. "kernel" is the same work in a plain call, less
the cost of such a call with no work; "launch" and "replay" are times until all tasks are done,
divided by their number; "over" is what they add to the kernel. The call through ctypes is part of
"launch".
"""

import ctypes
import time
from collections.abc import Callable
from ctypes import c_int, c_size_t, c_void_p
from statistics import median

import ascend_sim
from _report import parser, report

CALLS = 1000
ROUNDS = 21
KERNEL = 0  # a kind of ascendSimLaunchHostTask


def main() -> None:
    args = parser(__doc__).parse_args()
    acl = ctypes.CDLL(str(ascend_sim.library_path("libascendcl.so")))
    acl.aclrtMemsetAsync.argtypes = [c_void_p, c_size_t, c_int, c_size_t, c_void_p]
    acl.ascendSimLaunchHostTask.argtypes = [c_void_p, c_void_p, c_void_p, c_int]
    _check(acl.aclrtSetDevice(0))
    stream, buffer = c_void_p(), c_void_p()
    _check(acl.aclrtCreateStream(ctypes.byref(stream)))
    _check(acl.aclrtMalloc(ctypes.byref(buffer), c_size_t(1 << 20), 0))

    # Any C function that does nothing and returns 0 for a null pointer can stand for a kernel.
    nothing = ctypes.CDLL(None).abs
    address = ctypes.cast(nothing, c_void_p)
    call = _microseconds(lambda: nothing(0), lambda: None)

    def fill(size: int) -> tuple[Callable[[], object], Callable[[], object]]:
        return (
            lambda: ctypes.memset(buffer, 1, size),
            lambda: acl.aclrtMemsetAsync(buffer, size, 1, size, stream),
        )

    cases = {
        "nothing": (
            lambda: nothing(0),
            lambda: acl.ascendSimLaunchHostTask(stream, address, None, KERNEL),
        ),
        "fill 4 KiB": fill(4 << 10),
        "fill 64 KiB": fill(64 << 10),
    }
    rows = []
    for name, (direct, launch) in cases.items():
        kernel = max(0.0, _microseconds(direct, lambda: None) - call)
        launched = _microseconds(launch, lambda: _check(acl.aclrtSynchronizeStream(stream)))
        replayed = _replay(acl, stream, launch)
        rows.append(
            {
                "kernel": name,
                "kernel µs": kernel,
                "launch µs": launched,
                "launch over": launched - kernel,
                "replay µs": replayed,
                "replay over": replayed - kernel,
            }
        )
    report(f"µs per task, median of {ROUNDS} rounds of {CALLS}", rows, args.json)


def _check(code: int) -> None:
    if code != 0:
        raise RuntimeError(f"code {code}")


def _microseconds(call: Callable[[], object], wait: Callable[[], None]) -> float:
    """Return the time per call, the wait for the last one included."""
    rounds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        wait()
        rounds.append(1e6 * (time.perf_counter() - begin) / CALLS)
    return median(rounds)


def _replay(acl: ctypes.CDLL, stream: c_void_p, launch: Callable[[], object]) -> float:
    """Return the time per task of a graph of launches."""
    graph = c_void_p()
    _check(acl.aclmdlRICaptureBegin(stream, 0))
    for _ in range(CALLS):
        launch()
    _check(acl.aclmdlRICaptureEnd(stream, ctypes.byref(graph)))
    rounds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        _check(acl.aclmdlRIExecuteAsync(graph, stream))
        _check(acl.aclrtSynchronizeStream(stream))
        rounds.append(1e6 * (time.perf_counter() - begin) / CALLS)
    return median(rounds)


if __name__ == "__main__":
    main()
