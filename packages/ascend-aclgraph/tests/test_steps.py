# SPDX-License-Identifier: Apache-2.0
"""Steps are counted by what ran them, and decode steps without a graph apart."""

from ascend_aclgraph import StepPath, StepStats

OTHER = StepPath("other engine", "decode")
FULL = StepPath("aclgraph", "FULL")
PIECEWISE = StepPath("aclgraph", "PIECEWISE")
EAGER = StepPath("eager", "larger than every graph")


def test_decode_steps_without_a_graph_are_counted_apart() -> None:
    stats = StepStats()
    stats.count(EAGER, 40, 40, decode=False)
    stats.count(FULL, 3, 4, decode=True)
    stats.count(PIECEWISE, 3, 4, decode=True)
    stats.count(OTHER, 3, 3, decode=True)
    stats.count(EAGER, 9, 9, decode=True)
    assert (stats.steps, stats.decode_steps, stats.eager_decode_steps) == (5, 4, 1)


def test_steps_are_counted_by_what_ran_them_and_why() -> None:
    stats = StepStats()
    for path in (OTHER, FULL, PIECEWISE, OTHER, EAGER):
        stats.count(path, 1, 1, decode=True)
    assert stats.steps_by_path == {
        "other engine": {"decode": 2},
        "aclgraph": {"FULL": 1, "PIECEWISE": 1},
        "eager": {"larger than every graph": 1},
    }


def test_padding_waste_is_the_part_of_rows_that_was_padding() -> None:
    stats = StepStats()
    assert stats.padding_waste == 0
    stats.count(FULL, 3, 4, decode=True)
    stats.count(FULL, 4, 4, decode=True)
    assert stats.padding_waste == 1 / 8
