# SPDX-License-Identifier: Apache-2.0
"""What torch_npu offers beside operators, on the simulator: streams, memory, graphs, processes."""

import ascend_sim

ascend_sim.activate()  # before torch is imported

import os  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import textwrap  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402
from _device_suite import *  # noqa: E402, F403


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program in a process, and on a machine, of its own."""

    def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        launcher = Path(sys.executable).with_name("ascend-sim")
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith("ASCEND_")
        }
        return subprocess.run(
            [launcher, "run", "--", sys.executable, script],
            env=environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
