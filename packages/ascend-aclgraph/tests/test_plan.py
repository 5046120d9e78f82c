# SPDX-License-Identifier: Apache-2.0
"""The choice of sizes is the best of all choices, by trying them all."""

from itertools import combinations

import pytest

from ascend_aclgraph import choose_sizes
from ascend_aclgraph._plan import (
    SizeLadder,
    StreamCost,
    count_sizes_that_fit,
    expected_padding,
)

LADDER = [1, 2, 4, 8, 16, 24, 32, 40, 48]


def padding(sizes):
    """Mean padding of batches of which one of n rows comes 1/n as often as one of a single row."""
    weights = {rows: 1 / rows for rows in range(1, max(sizes) + 1)}
    waste = {rows: min(size for size in sizes if size >= rows) - rows for rows in weights}
    return sum(weights[rows] * waste[rows] for rows in weights) / sum(weights.values())


def choices(count, keep):
    """Every choice with the largest size and, as far as they go, those to keep."""
    first = list(dict.fromkeys([LADDER[-1], *(size for size in keep if size in LADDER)]))[:count]
    return [each for each in combinations(LADDER, count) if set(first) <= set(each)]


@pytest.mark.parametrize("keep", [(), (1,), (40, 1), (7, 24)])
@pytest.mark.parametrize("count", range(1, len(LADDER) + 1))
def test_the_choice_has_the_least_padding(count, keep):
    chosen = choose_sizes(LADDER, count, keep=keep)

    assert tuple(chosen) in choices(count, keep)
    assert padding(chosen) == pytest.approx(min(padding(each) for each in choices(count, keep)))


def test_all_sizes_are_chosen_where_all_can_be_had_and_none_where_none_can():
    assert choose_sizes([8, 1, 8, 4], 3) == [1, 4, 8]
    assert choose_sizes(LADDER, 0) == choose_sizes(LADDER, -1) == choose_sizes([], 3) == []


def test_of_a_servers_sizes_the_small_ones_lie_closer_together():
    vllms = [1, 2, 4, *range(8, 256, 8), *range(256, 513, 16)]
    chosen = choose_sizes(vllms, 12, keep=(256, 1))
    assert len(chosen) == 12
    assert {1, 256, 512} <= set(chosen)
    assert chosen[1] - chosen[0] < 10 < chosen[-1] - chosen[-2]


@pytest.mark.parametrize("sizes", [[1], [4], [1, 32], LADDER])
def test_the_expected_padding_is_a_part_of_the_computed_rows(sizes):
    weights = {rows: 1 / rows for rows in range(1, max(sizes) + 1)}
    computed = {rows: min(size for size in sizes if size >= rows) for rows in weights}
    rows = sum(weights[rows] * computed[rows] for rows in weights)
    waste = sum(weights[rows] * (computed[rows] - rows) for rows in weights)
    assert expected_padding(sizes) == pytest.approx(waste / rows)


PIECES, WHOLE = StreamCost(once=3, each=5), StreamCost(once=0, each=1)


def counts(streams, whole=LADDER, **costs):
    ladders = {"pieces": SizeLadder(LADDER, (8, 1)), "whole": SizeLadder(whole, (8, 1))}
    return count_sizes_that_fit(ladders, {"pieces": PIECES, "whole": WHOLE} | costs, streams)


def test_all_sizes_fit_into_as_many_streams_as_they_take():
    assert counts(3 + 9 * 5 + 9) == {"pieces": 9, "whole": 9}


def test_of_two_kinds_the_one_that_needs_more_loses_its_sizes():
    assert counts(3 + 9 * 5 + 9 - 1) == {"pieces": 8, "whole": 9}


@pytest.mark.parametrize("streams", range(3 + 5 + 1, 70))
def test_the_counts_fit_and_use_what_there_is(streams):
    got = counts(streams)
    used = PIECES.of(got["pieces"]) + WHOLE.of(got["whole"])
    assert used <= streams
    assert got["whole"] == 9 or streams - used < 5


def test_sizes_to_keep_go_last_and_the_largest_of_the_cheaper_kind_after_all():
    assert counts(3 + 3 * 5 + 3) == {"pieces": 3, "whole": 3}
    assert counts(3 + 5 + 1) == {"pieces": 1, "whole": 1}
    assert counts(3 + 1) == {"pieces": 0, "whole": 1}
    assert counts(3) == {"pieces": 0, "whole": 0}


def test_a_kind_that_costs_nothing_loses_nothing():
    assert counts(10, pieces=StreamCost(once=0, each=0)) == {"pieces": 9, "whole": 9}
