# SPDX-License-Identifier: Apache-2.0
"""The examples run as a user types them, and leave no work unordered."""

import os
import subprocess
import sys
from pathlib import Path

from needs import needs_xlite

ROOT = Path(__file__).parents[1]

pytestmark = needs_xlite


def test_generate_continues_texts_as_transformers_does():
    simulator = Path(sys.executable).with_name("ascend-sim")
    program = [sys.executable, "examples/generate.py", "--tokens=4"]
    command = [simulator, "run", "--check", "hazards=error", "--", *program]
    environment = {key: value for key, value in os.environ.items() if "ASCEND" not in key}

    shown = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )

    assert shown.returncode == 0, shown.stdout + shown.stderr
    lines = [line for line in shown.stdout.splitlines() if " -> " in line]
    assert len(lines) == 2
    assert all(line.endswith(": the same as transformers") for line in lines)
