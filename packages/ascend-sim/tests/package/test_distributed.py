# SPDX-License-Identifier: Apache-2.0
"""torch.distributed with backend hccl, unmodified, against gloo on the CPU."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("collectives.py")


def run(backend: str, folder: Path) -> list[dict[str, Any]]:
    """What each of two ranks got from each collective."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ASCEND_", "LD_"))}
    program = [sys.executable, PROGRAM, backend, folder / backend]
    ranks = [
        subprocess.Popen(
            [Path(sys.executable).with_name("ascend-sim"), "run", "--devices", "2", "--", *program],
            env=environment | {"RANK": str(rank), "WORLD_SIZE": "2"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=300) for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert [process.returncode for process in ranks] == [0, 0], told
    return json.loads(told[0][0].splitlines()[-1])


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("store")
    return {backend: run(backend, folder) for backend in ("gloo", "hccl")}


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
