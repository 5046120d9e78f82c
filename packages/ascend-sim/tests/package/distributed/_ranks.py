# SPDX-License-Identifier: Apache-2.0
"""A program on two ranks, each a process with a simulated NPU of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["assert_refused", "run_on_two_ranks"]


def run_on_two_ranks(program: Path, *arguments: str | Path) -> Any:
    """Return the JSON of the last line that rank 0 printed; both ranks must succeed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ASCEND_", "LD_"))}
    launcher = Path(sys.executable).with_name("ascend-sim")
    ranks = [
        subprocess.Popen(
            [launcher, "run", "--devices", "2", "--", sys.executable, program, *arguments],
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


def assert_refused(results: list[dict[str, Any]], *texts: str) -> None:
    """Check what both ranks report of the calls that are refused, by a part of each text."""
    for rank in results:
        for told, text in zip(rank["refusals"], texts, strict=True):
            assert text in told
