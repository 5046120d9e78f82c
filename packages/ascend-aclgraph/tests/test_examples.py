# SPDX-License-Identifier: Apache-2.0
"""The examples run as a user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
PRELUDE = (
    "import ascend_sim, runpy, sys; ascend_sim.activate();"
    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)


def run(name, *arguments):
    result = subprocess.run(
        [sys.executable, "-c", PRELUDE, str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_graphed_mlp_prints_times_of_both_and_the_statistics():
    output = run("graphed_mlp.py", "--layers=2", "--hidden=16", "--repeats=2")
    assert len(re.findall(r"^ +\d+ +\d+ +\d+ +\d+\.\d\d  equal$", output, re.MULTILINE)) == 5
    assert "captures: {'8': 1, '4': 1, '2': 1, '1': 1}" in output
    assert "eager_calls: 0" in output


@pytest.mark.parametrize("steps", ["20"])
def test_decode_attention_agrees_with_eager_mode(steps):
    output = run("decode_attention.py", "--layers=2", f"--steps={steps}")
    assert output.rstrip().endswith(
        "20 steps, 2 attention tasks updated in each: the graph and eager mode agree"
    )


def test_the_example_of_the_readme_runs():
    readme = (EXAMPLES.parent / "README.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
