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


def run(backend: str) -> list[dict[str, Any]]:
    """What each of two ranks got from each collective."""
    bin_ = Path(sys.executable).parent
    launch = [bin_ / "torchrun", "--nproc-per-node=2", "--master-port=0", PROGRAM, backend]
    result = subprocess.run(
        [bin_ / "ascend-sim", "run", "--devices", "2", "--", *launch],
        env={k: v for k, v in os.environ.items() if not k.startswith(("ASCEND_", "LD_"))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def results() -> dict[str, list[dict[str, Any]]]:
    return {backend: run(backend) for backend in ("gloo", "hccl")}


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
