# SPDX-License-Identifier: Apache-2.0
"""torch.distributed with backend hccl, unmodified, against gloo on the CPU."""

from pathlib import Path
from typing import Any

import pytest
from _ranks import run_on_two_ranks

PROGRAM = Path(__file__).with_name("collectives.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("store")
    return {
        backend: run_on_two_ranks(PROGRAM, backend, folder / backend)
        for backend in ("gloo", "hccl")
    }


@pytest.mark.parametrize(
    "program",
    [
        "all_reduce",
        "all_reduce_types",
        "reduce",
        "all_gather",
        "all_gather_uneven",
        "reduce_scatter",
        "broadcast",
        "scatter_and_gather",
        "all_to_all",
        "point_to_point",
        "subgroup",
        "objects",
        "training",
        "graph",
    ],
)
def test_hccl_gives_what_gloo_gives(results: dict[str, Any], program: str) -> None:
    expected = [rank[program] for rank in results["gloo"]]
    assert any(expected)
    assert [rank[program] for rank in results["hccl"]] == expected
