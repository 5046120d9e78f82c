# SPDX-License-Identifier: Apache-2.0
"""Matrix products beside a collective on two ranks, over the simulated HCCL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _ranks import assert_refused, run_on_two_ranks

PROGRAM = Path(__file__).with_name("products.py")
Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What both ranks report."""
    return run_on_two_ranks(PROGRAM, tmp_path_factory.mktemp("store") / "store")


def of_both(results: Results, name: str) -> list[np.ndarray]:
    return [np.array(rank[name]) for rank in results]


def products(results: Results) -> list[np.ndarray]:
    """Every rank's own product."""
    pairs = zip(of_both(results, "x1"), of_both(results, "x2"), strict=True)
    return [x1 @ x2 for x1, x2 in pairs]


def test_products_are_added_up_on_every_rank(results: Results) -> None:
    for told in of_both(results, "all_reduce"):
        np.testing.assert_array_equal(told, sum(products(results)))


def test_bias_and_summand_of_every_rank_are_added(results: Results) -> None:
    more = zip(of_both(results, "bias"), of_both(results, "x3"), strict=True)
    expected = sum(products(results)) + sum(bias + x3 for bias, x3 in more)
    for told in of_both(results, "all_reduce_of_three"):
        np.testing.assert_array_equal(told.reshape(expected.shape), expected)


def test_every_rank_gets_its_rows_of_the_sum(results: Results) -> None:
    told = np.concatenate(of_both(results, "reduce_scatter"))
    np.testing.assert_array_equal(told, sum(products(results)))


def test_rows_of_all_ranks_are_multiplied_by_each(results: Results) -> None:
    rows = np.concatenate(of_both(results, "x1"))
    for rank in results:
        np.testing.assert_array_equal(np.array(rank["gathered"]), rows)
        expected = rows @ np.array(rank["x2"]) + np.array(rank["bias"])
        np.testing.assert_array_equal(np.array(rank["all_gather"]), expected)


def test_a_graph_multiplies_what_is_there_at_its_replay(results: Results) -> None:
    told = [rank["graph"] for rank in results]
    expected = sum(np.array(graph["x1"]) @ np.array(graph["x2"]) for graph in told)
    rows = np.concatenate([np.array(graph["reduce_scatter"]) for graph in told])
    np.testing.assert_array_equal(rows, expected)


def test_what_a_device_does_not_take_is_refused_by_name(results: Results) -> None:
    assert_refused(
        results,
        "group 'nobody' is not a communicator",
        "x1 must be float16 or bfloat16",
        "x2 and output must have x1's dtype",
        "bias must have 8 elements",
        "K must be from 256 to 65534, got 255",
    )
