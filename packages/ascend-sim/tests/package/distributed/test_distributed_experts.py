# SPDX-License-Identifier: Apache-2.0
"""Experts on two ranks: npu_moe_distribute_dispatch and combine over the simulated HCCL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _ranks import assert_refused, run_on_two_ranks

PROGRAM = Path(__file__).with_name("experts.py")
EXPERTS = 6
Results = list[dict[str, Any]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What both ranks report."""
    return run_on_two_ranks(PROGRAM, tmp_path_factory.mktemp("store") / "store")


def expected_outputs(told: dict[str, Any], tokens: int | None = None) -> np.ndarray:
    """Expert e multiplies by e + 1, wherever it is."""
    x, experts, weights = (np.array(told[name]) for name in ("x", "experts", "weights"))
    factors = (weights * (experts + 1)).sum(1, keepdims=True)
    if tokens is not None:
        factors[tokens:] = 0
    return x * factors


@pytest.mark.parametrize("case", ["first", "second", "graph"])
def test_tokens_go_to_their_experts_and_come_back(results: Results, case: str) -> None:
    for rank in results:
        np.testing.assert_array_equal(rank[case]["out"], expected_outputs(rank[case]))


def test_results_are_added_to_a_residual_and_normalized(results: Results) -> None:
    for rank in results:
        told = rank["normalized"]
        total = expected_outputs(told) + np.array(told["x"])
        np.testing.assert_allclose(told["total"], total, rtol=2**-8)
        factor = 1 / np.sqrt(np.square(np.array(told["total"])).mean(1) + 0.5)
        np.testing.assert_allclose(told["rstd"], factor, rtol=1e-4)
        y = 2 * np.array(told["total"]) * factor[:, None]
        np.testing.assert_allclose(told["y"], y, rtol=2**-7, atol=1e-6)


def test_inactive_tokens_stay_and_shared_experts_add(results: Results) -> None:
    for rank in results:
        told = rank["masked_and_shared"]
        expected = expected_outputs(told, tokens=3) + np.array(told["x"])
        np.testing.assert_array_equal(told["out"], expected)


def test_rows_arrive_quantized_by_expert_then_by_rank(results: Results) -> None:
    everything = [rank["received"] for rank in results]
    for rank, told in enumerate(everything):
        local = range(rank * EXPERTS // 2, (rank + 1) * EXPERTS // 2)
        sent = [
            (expert, source, token)
            for expert in local
            for source, other in enumerate(everything)
            for token, chosen in enumerate(other["experts"])
            if expert in chosen
        ]
        rows = np.array([everything[source]["x"][token] for _, source, token in sent], np.float32)
        scales = np.abs(rows).max(-1) / np.float32(127)
        assert told["counts"] == [sum(e == expert for e, *_ in sent) for expert in local]
        np.testing.assert_array_equal(np.array(told["scales"], np.float32), scales)
        np.testing.assert_array_equal(told["rows"], np.round(rows / scales[:, None]))


def test_what_a_device_does_not_take_is_refused_by_name(results: Results) -> None:
    assert_refused(
        results,
        "groupEp 'nobody' is not a communicator",
        "moeExpertNum 7 must be a multiple of epWorldSize 2",
        "quantMode must be 0 or 2",
        "zero, copy and constant experts are not supported",
        "sharedExpertRankNum",
        "x must be float16 or bfloat16",
        "H must be a multiple of 32",
        "BS must be from 1 to 256, got 257",
        "moeExpertNum must be at most 1024",
    )
