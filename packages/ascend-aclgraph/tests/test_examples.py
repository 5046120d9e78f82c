# SPDX-License-Identifier: Apache-2.0
"""The examples run as a user types them: with the limits of a device, whatever these tests have."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"


def run(*arguments):
    simulator = Path(sys.executable).with_name("ascend-sim")
    environment = {key: value for key, value in os.environ.items() if "ASCEND" not in key}
    result = subprocess.run(
        [simulator, "run", "--", sys.executable, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_graphed_mlp_prints_times_of_both_and_the_statistics():
    output = run(EXAMPLES / "graphed_mlp.py", "--repeats=2")
    assert len(re.findall(r"^ +\d+ +\d+ +\d+ +\d+\.\d\d  equal$", output, re.MULTILINE)) == 5
    assert "captures: {'8': 1, '4': 1, '2': 1, '1': 1}" in output
    assert "eager_calls: 0" in output


def test_decode_attention_agrees_with_eager_mode():
    output = run(EXAMPLES / "decode_attention.py")
    assert output.rstrip().endswith(
        "40 steps, 4 attention tasks updated in each: the graph and eager mode agree"
    )


def test_the_examples_of_the_readme_run():
    readme = (ROOT / "README.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        run("-c", block)
