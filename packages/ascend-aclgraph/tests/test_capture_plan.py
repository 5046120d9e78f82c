# SPDX-License-Identifier: Apache-2.0
"""Captures within a budget of streams, on simulated devices that have so many and no more."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SIZES = [1, 2, 4, 8, 16, 24, 32]
PIECES = 5

PROGRAM = """
import json, logging, sys
import torch
import torch.distributed as dist
from ascend_core import Device, OptionError, StreamSupply
from ascend_aclgraph import CaptureOptions, CapturePlan, Coverage, GraphCache, GraphConfig

sizes, pieces, settings, rank, store = json.loads(sys.argv[1])
torch.npu.set_device(0)
supply = StreamSupply(Device(0))
x = torch.ones(4, device="npu")
cache = GraphCache()
once = CaptureOptions(warmup=0)
group = None
if store:
    dist.init_process_group("gloo", store=dist.FileStore(store, 2), rank=rank, world_size=2)
    group = dist.group.WORLD
executed = []

def keys(kind, size):
    return [(kind, size, piece) for piece in range(pieces[kind])]

def capture(kind, size):
    for key in keys(kind, size):
        cache.capture(key, lambda: x + size, options=once)

def execute(kind, size):
    executed.append((kind, size))
    for key in keys(kind, size):
        assert cache.replay(key).tolist() == [size + 1.0] * 4

def close(kind, size):
    for key in keys(kind, size):
        cache.discard(key)

plan = CapturePlan(
    {kind: Coverage(sizes, most=8, group=group) for kind in pieces},
    budget=GraphConfig(**settings).budget(supply),
    device=Device(0),
    close=close,
    group=group,
)
wanted = [(kind, size) for kind in reversed(pieces) for size in reversed(sizes)]
error = ""
try:
    for kind, size in sorted(wanted, key=lambda each: not plan.comes_first(*each)):
        plan.capture(kind, size, lambda: capture(kind, size), lambda: execute(kind, size))
except OptionError as caught:
    error = str(caught)
probed = list(executed)
captured = {kind: sorted(each.captured) for kind, each in plan.coverages.items()}
if not error:
    for kind, sizes_of_kind in captured.items():
        for size in sizes_of_kind:
            execute(kind, size)
torch.npu.synchronize()
print(json.dumps({
    "captured": captured,
    "graphs": len(cache),
    "probed": probed,
    "available": Device(0).streams_available(),
    "shortages": sum(each.shortage is not None for each in plan.coverages.values()),
    "table": "" if error else str(plan),
    "error": error,
}))
if store:
    dist.destroy_process_group()
"""


def start(options, settings, pieces, rank=0, store=None):
    program = Path(sys.executable).with_name("ascend-sim")
    job = json.dumps([SIZES, pieces, settings, rank, store])
    command = [program, "run", *options, "--", sys.executable, "-c", PROGRAM, job]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ, stdout=pipe, stderr=pipe, text=True)


def result_of(process):
    shown, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return json.loads(shown.splitlines()[-1])


BOTH = {"pieces": PIECES, "whole": 1}


@pytest.fixture
def run() -> Callable[..., dict]:
    def run(*options, pieces=BOTH, **settings):
        return result_of(start(options, settings, pieces))

    return run


def test_the_largest_and_the_smallest_are_executed_and_then_what_fits_is_captured(run):
    """Given 90 streams of which 34 are in use: a quarter of the rest is left."""
    result = run("--streams", "90", "--sq", "hardware")

    assert result["probed"] == [["whole", 32], ["whole", 1], ["pieces", 32], ["pieces", 1]]
    # 42 streams are 7 graphs and 7 times 5.
    assert result["captured"] == {"pieces": SIZES, "whole": SIZES}
    assert result["available"] == 90 - 34 - 42
    assert result["shortages"] == 0


def test_sizes_that_do_not_fit_are_left_out_before_their_capture(run):
    """Given 26 streams less a quarter: 3 times 5, and 5, with the smallest, 8 and the largest."""
    result = run("--streams", "60", "--sq", "hardware")

    assert result["captured"] == {"pieces": [1, 8, 32], "whole": [1, 4, 8, 16, 32]}
    assert result["shortages"] == 0
    assert result["available"] == 60 - 34 - 20
    assert "over the budget: 2, 4, 16, 24" in result["table"]


def test_without_a_budget_captures_take_all_and_fail(run):
    result = run("--streams", "60", "--sq", "hardware", stream_budget=False)

    assert result["probed"] == []
    assert result["shortages"] > 0
    assert result["available"] < PIECES
    assert "OUT_OF_QUEUES: " in result["table"]


@pytest.mark.parametrize("queues", ["hardware", "software"])
def test_a_partition_is_a_quota_whenever_queues_are_taken(run, queues):
    """Given 3 % of 1984: all graphs together stay within, and without a budget they do not."""
    quota, options = 59, ("--partition", "aicore=3", "--sq", queues)

    within, without = run(*options), run(*options, stream_budget=False)
    assert 1984 - within["available"] <= quota - 6
    assert {1, 32} <= set(within["captured"]["pieces"])
    assert 1984 - without["available"] > quota


def test_queues_that_idle_graphs_give_up_are_no_limit_on_a_whole_device(run):
    result = run("--streams", "60", "--sq", "software")

    assert result["captured"] == {"pieces": SIZES, "whole": SIZES}
    assert result["shortages"] == 0


def test_a_budget_that_was_set_is_kept_even_where_idle_graphs_give_up_queues(run):
    result = run("--sq", "software", max_streams=20)

    assert {kind: len(sizes) for kind, sizes in result["captured"].items()} == {
        "pieces": 3,
        "whole": 5,
    }
    assert 1984 - result["available"] <= 34 + 20
    assert "budget of 20 streams: graph.max_streams" in result["table"]


def test_where_one_kind_does_not_fit_at_all_the_other_has_the_streams(run):
    result = run("--sq", "hardware", max_streams=4)

    assert result["captured"] == {"pieces": [], "whole": [1, 8, 16, 32]}
    assert result["graphs"] == 4


def test_a_budget_below_one_graph_is_an_error_that_names_what_is_needed(run):
    result = run("--sq", "hardware", pieces={"pieces": PIECES}, max_streams=PIECES - 1)

    assert "graph.max_streams = 4" in result["error"]
    assert "need 5 streams" in result["error"]
    assert "Valid: 5 or more" in result["error"]


def test_the_table_has_a_row_for_each_kind(run):
    title, heads, *rows = run("--streams", "60", "--sq", "hardware")["table"].splitlines()

    assert title == "budget of 20 streams: 26 available, less a reserve of 6"
    assert heads.split() == ["graphs", "sizes", "streams", "memory", "padding", "left", "out"]
    assert [row.split()[0] for row in rows] == ["pieces", "whole"]
    assert "1, 8, 32 " in rows[0]
    assert "15 (5 per size)" in rows[0]
    assert rows[0].endswith("over the budget: 2, 4, 16, 24")


def test_ranks_have_the_plan_of_the_rank_with_the_least_room(tmp_path):
    store = str(tmp_path / "store")
    ranks = [
        start(("--sq", "hardware"), {"max_streams": most}, BOTH, rank, store)
        for rank, most in enumerate([100, 17])
    ]
    first, second = map(result_of, ranks)
    assert first["captured"] == second["captured"] == {"pieces": [8, 32], "whole": SIZES}
