# SPDX-License-Identifier: Apache-2.0
"""Counters say what ran."""

from types import SimpleNamespace

from vllm.config import CUDAGraphMode
from vllm.forward_context import BatchDescriptor

from ascend_vllm_plugin.stats import StepStats, graph_counts


def test_decode_steps_without_a_graph_are_counted_apart() -> None:
    stats = StepStats()
    stats.count(CUDAGraphMode.NONE, 40, 40, decode=False)
    stats.count(CUDAGraphMode.FULL, 3, 4, decode=True)
    stats.count(CUDAGraphMode.PIECEWISE, 3, 4, decode=True)
    stats.count(CUDAGraphMode.NONE, 9, 9, decode=True)
    assert (stats.steps, stats.decode_steps, stats.eager_decode_steps) == (4, 3, 1)


def test_padding_waste_is_the_part_of_rows_that_was_padding() -> None:
    stats = StepStats()
    assert stats.padding_waste == 0
    stats.count(CUDAGraphMode.FULL, 3, 4, decode=True)
    stats.count(CUDAGraphMode.FULL, 4, 4, decode=True)
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
