# SPDX-License-Identifier: Apache-2.0
"""Counters say what ran."""

from types import SimpleNamespace

import pytest
from vllm.config import CUDAGraphMode
from vllm.forward_context import BatchDescriptor

from ascend_vllm_plugin.stats import StepPath, StepStats, graph_counts

XLITE = StepPath("xlite", "decode")
FULL = StepPath("aclgraph", "FULL")
PIECEWISE = StepPath("aclgraph", "PIECEWISE")
TOO_LARGE = StepPath("eager", "larger than every graph")


def test_decode_steps_without_a_graph_are_counted_apart() -> None:
    stats = StepStats()
    stats.count(TOO_LARGE, 40, 40, decode=False)
    stats.count(FULL, 3, 4, decode=True)
    stats.count(PIECEWISE, 3, 4, decode=True)
    stats.count(XLITE, 3, 3, decode=True)
    stats.count(TOO_LARGE, 9, 9, decode=True)
    assert (stats.steps, stats.decode_steps, stats.eager_decode_steps) == (5, 4, 1)


def test_steps_are_counted_by_what_ran_them_and_why() -> None:
    stats = StepStats()
    for path in (XLITE, FULL, PIECEWISE, XLITE, TOO_LARGE):
        stats.count(path, 1, 1, decode=True)
    assert stats.steps_by_path == {
        "xlite": {"decode": 2},
        "aclgraph": {"FULL": 1, "PIECEWISE": 1},
        "eager": {"larger than every graph": 1},
    }


@pytest.mark.parametrize(
    ("mode", "configured", "decode", "xlite", "path"),
    [
        ("NONE", "NONE", True, "full", StepPath("xlite", "full")),
        ("NONE", "PIECEWISE", True, "decode", XLITE),
        ("FULL", "FULL_AND_PIECEWISE", True, "", FULL),
        ("PIECEWISE", "FULL_AND_PIECEWISE", False, "", PIECEWISE),
        ("NONE", "FULL_AND_PIECEWISE", True, "", TOO_LARGE),
        ("NONE", "FULL_AND_PIECEWISE", False, "", TOO_LARGE),
        ("NONE", "FULL_DECODE_ONLY", False, "", StepPath("eager", "no graphs for prefill")),
        ("NONE", "NONE", True, "", StepPath("eager", "graphs are off")),
        ("NONE", "NONE", False, "", StepPath("eager", "graphs are off")),
    ],
)
def test_the_cause_is_the_mode_or_why_there_is_no_graph(
    mode: str, configured: str, decode: bool, xlite: str, path: StepPath
) -> None:
    modes = CUDAGraphMode[mode], CUDAGraphMode[configured]
    assert StepPath.of(*modes, xlite=xlite, decode=decode) == path


def test_a_step_that_another_replica_held_back_is_not_too_large() -> None:
    modes = CUDAGraphMode.NONE, CUDAGraphMode.FULL_AND_PIECEWISE
    path = StepPath.of(*modes, decode=True, held_back=True)
    assert path == StepPath("eager", "another replica had no graph")


def test_padding_waste_is_the_part_of_rows_that_was_padding() -> None:
    stats = StepStats()
    assert stats.padding_waste == 0
    stats.count(FULL, 3, 4, decode=True)
    stats.count(FULL, 4, 4, decode=True)
    assert stats.padding_waste == 1 / 8


def wrapper(mode: CUDAGraphMode, captures: dict[int, int], replays: int) -> SimpleNamespace:
    return SimpleNamespace(
        runtime_mode=mode,
        captures={BatchDescriptor(size): count for size, count in captures.items()},
        stats=SimpleNamespace(replays=replays, capture_seconds=0.5),
    )


def test_graphs_are_added_up_over_pieces_and_told_apart_by_mode() -> None:
    pieces = [wrapper(CUDAGraphMode.PIECEWISE, {8: 1, 16: 1}, 3) for _ in range(5)]
    whole = wrapper(CUDAGraphMode.FULL, {8: 1}, 4)
    assert graph_counts([*pieces, whole]) == {
        "graphs": {"PIECEWISE": {"8": 5, "16": 5}, "FULL": {"8": 1}},
        "replays": 19,
        "capture_seconds": 3.0,
    }
