# SPDX-License-Identifier: Apache-2.0
"""Counters say what ran."""

from types import SimpleNamespace

import pytest
from ascend_aclgraph import StepPath
from vllm.config import CUDAGraphMode
from vllm.forward_context import BatchDescriptor

from ascend_vllm_plugin.stats import graph_counts, path_of_step

XLITE = StepPath("xlite", "decode")
FULL = StepPath("aclgraph", "FULL")
PIECEWISE = StepPath("aclgraph", "PIECEWISE")
TOO_LARGE = StepPath("eager", "larger than every graph")


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
    assert path_of_step(*modes, xlite=xlite, decode=decode) == path


def test_a_step_that_another_replica_held_back_is_not_too_large() -> None:
    modes = CUDAGraphMode.NONE, CUDAGraphMode.FULL_AND_PIECEWISE
    path = path_of_step(*modes, decode=True, held_back=True)
    assert path == StepPath("eager", "another replica had no graph")


@pytest.mark.parametrize(
    ("mode", "configured", "decode", "cause"),
    [
        ("NONE", "FULL_AND_PIECEWISE", True, "not captured"),
        ("NONE", "FULL_AND_PIECEWISE", False, "not captured"),
        ("NONE", "FULL_DECODE_ONLY", False, "no graphs for prefill"),
        ("FULL", "FULL_AND_PIECEWISE", True, "FULL"),
    ],
)
def test_a_step_whose_size_was_left_out_is_told_apart(
    mode: str, configured: str, decode: bool, cause: str
) -> None:
    modes = CUDAGraphMode[mode], CUDAGraphMode[configured]
    assert path_of_step(*modes, decode=decode, left_out=True).cause == cause


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
