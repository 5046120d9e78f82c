# SPDX-License-Identifier: Apache-2.0
"""Scripts of this folder (`*_process.py`), each run in a process of its own on a simulated NPU."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.engine import under_simulator

__all__ = ["lines_of"]

_TIMEOUT_S = 600


def lines_of(
    script: str,
    environment: Mapping[str, str],
    jobs: Any = None,
    *,
    simulator: Sequence[str] = (),
    count: int = 1,
) -> list[Any]:
    """Run a script, and return what it prints for us.

    Parameters
    ----------
    script
        Name of its file.
    environment
        Of the process.
    jobs
        What it reads from its standard input, as JSON.
    simulator
        Options of ``ascend-sim run``.
    count
        How many lines it must print.
    """
    process = subprocess.run(
        under_simulator(sys.executable, str(Path(__file__).with_name(script)), options=simulator),
        env=environment,
        input=json.dumps(jobs),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    marked = (line for line in process.stdout.splitlines() if line.startswith("RESULT "))
    lines = [json.loads(line.removeprefix("RESULT ")) for line in marked]
    assert len(lines) == count, process.stderr[-8000:]
    return lines
