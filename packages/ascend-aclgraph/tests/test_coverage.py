# SPDX-License-Identifier: Apache-2.0
"""Captures for which something does not suffice leave sizes out, equally on all ranks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ascend_core import AclOutOfMemory, AclOutOfStreams

from ascend_aclgraph import CaptureError, Coverage, choose_sizes, report_shortage

SIZES = [1, 2, 4, 8, 16, 32]
STREAMS, EVENTS, MEMORY, FORBIDDEN = 207008, 207007, 207001, 107030


class Engine:
    """Captures each size, largest first, where `fails` says how a capture goes."""

    def __init__(self, fails, sizes=SIZES, **options):
        self.fails = fails
        self.graphs: list[int] = []
        self.tries: list[int] = []
        self.coverage = Coverage(sizes, **options)
        for size in sorted(sizes, reverse=True):
            self.coverage.capture(size, lambda size=size: self._capture(size), self._close)

    def _capture(self, size):
        self.tries.append(size)
        self.graphs.append(size)  # the first pieces of it, at least
        if code := self.fails(self, size):
            raise CaptureError(code, "aclmdlRICaptureBegin", label=size)

    def _close(self, size):
        self.graphs.remove(size)


def room_for(count, code=STREAMS):
    """A device that has graphs of `count` sizes at once."""
    return lambda engine, size: code if len(engine.graphs) > count else 0


def test_every_size_has_a_graph_where_nothing_lacks():
    engine = Engine(room_for(6))
    assert sorted(engine.coverage.captured) == engine.coverage.sizes == SIZES
    assert engine.coverage.shortage is None
    assert engine.tries == SIZES[::-1]


@pytest.mark.parametrize("code", [STREAMS, EVENTS])
@pytest.mark.parametrize("count", range(1, 6))
def test_as_many_sizes_as_there_is_room_for_are_those_with_the_least_padding(count, code):
    """And not the largest ones, which happen to come first."""
    engine = Engine(room_for(count, code), most=7)

    expected = choose_sizes(SIZES, count, keep=(8, 1))
    assert sorted(engine.coverage.captured) == sorted(engine.graphs) == expected
    assert engine.coverage.left_out == [size for size in SIZES if size not in expected]
    assert engine.coverage.shortage.code == code


def test_where_closing_a_graph_makes_no_room_what_there_is_stays():
    """Given a device that gives nothing back, one graph is closed in vain and no more."""
    engine = Engine(lambda engine, _: STREAMS if len(engine.tries) > 4 else 0)

    assert len(engine.coverage.captured) == 3
    assert sorted(engine.graphs) == sorted(engine.coverage.captured)
    assert 32 in engine.graphs


def test_after_lack_of_memory_smaller_sizes_are_tried():
    engine = Engine(lambda _, size: MEMORY if size > 4 else 0)

    assert sorted(engine.graphs) == sorted(engine.coverage.captured) == [1, 2, 4]
    assert engine.tries == SIZES[::-1]
    assert isinstance(engine.coverage.shortage, AclOutOfMemory)


def test_without_any_graph_the_shortage_says_why():
    engine = Engine(room_for(0))

    assert (engine.coverage.captured, engine.graphs, engine.tries) == (set(), [], [32])
    assert engine.coverage.left_out == SIZES
    assert isinstance(engine.coverage.shortage, AclOutOfStreams)


def test_any_other_failure_is_raised():
    with pytest.raises(CaptureError, match="CAPTURE_MODE"):
        Engine(lambda _, size: FORBIDDEN if size == 4 else 0)


def test_the_text_says_what_is_covered():
    coverage = Engine(room_for(2), most=32).coverage
    assert str(coverage) == "captured 1, 32, left out 2, 4, 8, 16"


def test_the_report_names_cause_coverage_and_way_out_and_without_any_graph_it_is_an_error():
    few, none = Engine(room_for(3)).coverage, Engine(room_for(0)).coverage

    report = report_shortage({"PIECEWISE": none, "FULL": few})
    for words in ("207008 OUT_OF_STREAM_IDS (32)", f"PIECEWISE: {none}", f"FULL: {few}"):
        assert words in report
    assert report_shortage({"FULL": Engine(room_for(6)).coverage}) == ""
    with pytest.raises(AclOutOfStreams, match="the graph 32 failed"):
        report_shortage({"FULL": none})


_RANK = """
import json, sys
import torch.distributed as dist
from ascend_aclgraph import CaptureError, Coverage

rank, room = int(sys.argv[1]), json.loads(sys.argv[2])
dist.init_process_group(
    "gloo", store=dist.FileStore(sys.argv[3], 2), rank=rank, world_size=2
)
sizes, graphs = [1, 2, 4, 8, 16, 32], []

def capture(size):
    graphs.append(size)
    if len(graphs) > room:
        raise CaptureError(207008, "aclmdlRICaptureBegin", label=f"{size} on rank {rank}")

coverage = Coverage(sizes, most=8, group=dist.group.WORLD)
for size in reversed(sizes):
    coverage.capture(size, lambda: capture(size), graphs.remove)
print(json.dumps([sorted(coverage.captured), sorted(graphs), coverage.shortage.label]))
dist.destroy_process_group()
"""


def test_ranks_have_the_graphs_of_the_rank_with_the_least_room(tmp_path: Path):
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", _RANK, str(rank), str(room), str(tmp_path / "store")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, room in enumerate([6, 3])
    ]
    first, second = (json.loads(rank.communicate(timeout=120)[0]) for rank in ranks)
    assert first == second == [[1, 8, 32], [1, 8, 32], "4 on rank 1"]
