# SPDX-License-Identifier: Apache-2.0
"""Captures that run out of something: the error is of that family, whichever step it was.

Each on a device of its own, which really has only so much.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CAPTURE = """
import sys, torch
from ascend_aclgraph import CaptureError, CaptureOptions, Graph, MemoryPool
from ascend_core.errors import AclOutOfEvents, AclOutOfMemory, AclOutOfStreams

def capture_until_it_fails(fn, family, **how):
    graphs = []
    try:
        while len(graphs) < 100:
            graphs.append(Graph.capture(fn, label=len(graphs), **how))
    except family as error:
        assert isinstance(error, CaptureError), type(error)
        assert error.label == len(graphs)
        print(type(error).__name__, len(graphs))
    return graphs
"""

ADD = """
x = torch.ones(4, device="npu")
graphs = capture_until_it_fails(lambda: x + 1, AclOutOfStreams)
"""
WORKS_AFTERWARDS = """
del graphs
with Graph.capture(lambda: x + 2) as graph:
    assert graph.replay().tolist() == [3.0] * 4
"""

FORK = """
x = torch.ones(4, device="npu")
sides = [torch.npu.Stream() for _ in range(24)]

def fork():
    main = torch.npu.current_stream()
    for side in sides:
        side.wait_stream(main)
        with torch.npu.stream(side):
            x + 1
        main.wait_stream(side)

once = CaptureOptions(warmup=0)
"""
CAPTURE_FORKS = "graphs = capture_until_it_fails(fork, AclOutOfStreams, options=once)"
REPLAY_A_FORK = """
graph = Graph.capture(fork, options=once)
try:
    graph.replay()
except AclOutOfStreams as error:
    print(error.call, error.name)
"""

ALLOCATE = """
def allocate():
    return torch.ones(128 << 20, dtype=torch.int8, device="npu")

graphs = capture_until_it_fails(allocate, AclOutOfMemory, options=CaptureOptions(warmup=WARMUP))
"""

MEMORY_COMES_BACK = """
from ascend_core import Device
from ascend_aclgraph import Coverage, GraphCache

def in_use():
    torch.npu.synchronize()
    torch.npu.empty_cache()
    return torch.npu.memory_allocated(), torch.npu.memory_reserved(), Device().memory_info().free

x = torch.ones(4, device="npu")
cache, coverage = GraphCache(), Coverage([1, 2, 8])
before = in_use()

def step(size):
    held = []
    for _ in range(size):
        held.append(torch.ones(200 << 20, dtype=torch.int8, device="npu"))
    return x + len(held)

def capture(size):
    cache.capture((size, "first piece"), lambda: x + size, options=CaptureOptions(warmup=0))
    cache.capture((size, "second"), lambda: step(size), options=CaptureOptions(warmup=0))

def close(size):
    for descriptor in [key for key in cache if key[0] == size]:
        cache.discard(descriptor)

import gc
gc.disable()  # as vLLM does while it captures
coverage.capture(8, lambda: capture(8), close)
assert in_use() == before, (in_use(), before)
for size in (2, 1):
    coverage.capture(size, lambda: capture(size), close)
print(coverage, sorted(cache))
"""


@pytest.fixture
def run() -> Callable[..., str]:
    program = Path(sys.executable).with_name("ascend-sim")

    def run(code: str, *options: str) -> str:
        command = [program, "run", *options, "--", sys.executable, "-c", CAPTURE + code]
        result = subprocess.run(
            command, env=os.environ, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    return run


@pytest.mark.parametrize(
    ("streams", "captured"),
    [(24, 0), (34, 0), (38, 4)],
    ids=["none for the pool", "none for the first graph", "none for one more graph"],
)
def test_out_of_streams(run, streams, captured):
    shown = run(ADD, "--streams", str(streams), "--sq", "hardware")
    assert shown == f"CaptureError[AclOutOfStreams] {captured}"


def test_out_of_streams_in_the_middle_of_a_capture(run):
    shown = run(FORK + CAPTURE_FORKS, "--streams", "60", "--sq", "hardware")
    assert shown == "CaptureError[AclOutOfStreams] 1"


def test_out_of_streams_is_over_when_graphs_are_closed(run):
    assert run(ADD + WORKS_AFTERWARDS, "--streams", "38", "--sq", "hardware")


def test_out_of_streams_at_the_first_replay(run):
    """With queues in software, a graph takes its streams when it runs, not at its capture."""
    shown = run(FORK + REPLAY_A_FORK, "--streams", "40", "--sq", "software")
    assert shown == "aclmdlRIExecuteAsync OUT_OF_QUEUES"


@pytest.mark.parametrize("warmup", [0, 1], ids=["in the capture", "in the warm-up"])
def test_out_of_memory(run, warmup):
    shown = run(ALLOCATE.replace("WARMUP", str(warmup)), "--hbm", "1GiB")
    assert shown.startswith("CaptureError[AclOutOfMemory]")


def test_memory_of_a_size_that_is_left_out_comes_back(run):
    """Given a graph that fits and one that does not, of the same size."""
    shown = run(MEMORY_COMES_BACK, "--hbm", "1GiB")
    pieces = "[(1, 'first piece'), (1, 'second'), (2, 'first piece'), (2, 'second')]"
    assert shown == f"captured 1, 2, left out 8 {pieces}"
