# SPDX-License-Identifier: Apache-2.0
"""Captures, replays, updates and destructions leave nothing behind.

The number of rounds is ASCEND_SIM_LEAK_ROUNDS; `nox -s leaks` runs ten thousand.
"""

import json
import os
from collections.abc import Callable

import pytest

ROUNDS = int(os.environ.get("ASCEND_SIM_LEAK_ROUNDS", "2000"))

PROGRAM = f"""
import ctypes, json, os, time
from ctypes import byref, c_uint32, c_void_p
from pathlib import Path

ROUNDS, WARM_UP = {ROUNDS}, 200
acl.ascendSimReadLedger.restype = ctypes.c_char_p
acl.ascendSimLaunchHostTask.argtypes = [c_void_p, c_void_p, c_void_p, ctypes.c_int]
nothing = ctypes.cast(ctypes.CDLL(None).abs, c_void_p)  # a kernel without work, and without Python

def kernel(stream):
    acl.ok("ascendSimLaunchHostTask", stream, nothing, None, 0)

def one_round():
    origin, branch, updates = acl.stream(), acl.stream(), acl.stream()
    buffer, flag = acl.buffer(4096), acl.buffer(8)
    fork, join, done = acl.event(), acl.event(), acl.event(TIMED)
    acl.begin(origin)
    acl.record(fork, origin)
    acl.wait(branch, fork)
    acl.fill(branch, buffer, 1, 4096)
    acl.record(join, branch)
    acl.ok("aclrtValueWait", flag, 1, 1, origin)
    acl.ok("aclrtValueWrite", flag, 0, 0, origin)
    acl.begin_group(origin)
    kernel(origin)
    group = acl.end_group(origin)
    acl.wait(origin, join)
    graph = acl.end(origin)
    for _ in range(2):
        acl.execute(graph, origin)
        acl.ok("aclmdlRICaptureTaskUpdateBegin", updates, group)
        kernel(updates)
        acl.ok("aclmdlRICaptureTaskUpdateEnd", updates)
        acl.ok("aclrtValueWrite", flag, 1, 0, updates)
        acl.record(done, origin)
        acl.ok("aclrtSynchronizeEvent", done)
        acl.sync(updates)
    acl.ok("aclmdlRIDestroy", graph)
    # A capture that fails must not keep anything either.
    acl.begin(origin)
    acl.record(fork, origin)
    acl.wait(branch, fork)
    assert acl.try_end(origin)[0] == 107025
    for event in (fork, join, done):
        acl.ok("aclrtDestroyEvent", event)
    for address in (buffer, flag):
        acl.ok("aclrtFree", address)
    for stream in (origin, branch, updates):
        acl.ok("aclrtDestroyStream", stream)

def held():
    (process,) = json.loads(acl.ascendSimReadLedger(None))["processes"]
    return process["used"], len(os.listdir("/proc/self/fd"))

def threads_that_stay():
    # The thread of a stream that was destroyed ends a little later than the call.
    counts = []
    for _ in range(20):
        time.sleep(0.01)
        counts.append(len(os.listdir("/proc/self/task")))
    return min(counts)

def growing():
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return resident, threads_that_stay()

for _ in range(WARM_UP):
    one_round()
before, resident, threads = held(), *growing()
for _ in range(ROUNDS):
    one_round()
after, more = held(), [now - then for now, then in zip(growing(), (resident, threads))]
print(json.dumps({{"before": before, "after": after, "bytes": more[0], "threads": more[1]}}))
"""


@pytest.mark.parametrize("mode", ["software", "hardware"])
def test_rounds_of_work_leave_what_they_found(process: Callable[..., str], mode: str) -> None:
    result = json.loads(process(PROGRAM, json.dumps({"sq": mode}), timeout=3000))
    assert result["after"] == result["before"]
    # Of the host's memory only the allocator's noise: less than 100 bytes a round, or 4 MiB. The
    # threads that run branches of graphs are kept: as many as were ever busy at once.
    assert result["bytes"] < max(4 << 20, 100 * ROUNDS), result
    assert result["threads"] <= 2, result
