# SPDX-License-Identifier: Apache-2.0
"""The fuzzer of the operators' C API: it finds nothing, and finds what is there to be found."""

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parents[3] / "fuzz"
CALLS = 1_500  # half a minute; `nox -s fuzz` draws others for longer


def _fuzz(environ: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FUZZ), *options]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=3600, check=False
    )


def test_no_call_of_an_operator_ends_the_process(clean_environ) -> None:
    done = _fuzz(clean_environ, "--calls", str(CALLS), "--seed", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 finding(s)" in done.stdout


def test_a_call_that_ends_the_process_is_reported_as_small_as_it_can_be(clean_environ) -> None:
    """Given an operator that kills its process, the finding is a call of it that does so again."""
    fault = {"ASCEND_SIM_CONFIG": json.dumps({"faults": ["die:aclnnSinGetWorkspaceSize"]})}
    done = _fuzz(clean_environ | fault, "--calls", "2000", "--seed", "1", "--only", "aclnnSin")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if '"op": "aclnnSin"' in line]
    assert "the process ended with SIGKILL" in line
    call = json.loads(line.partition("--call '")[2].rstrip("'"))
    assert call["executor"] == "run"
    again = _fuzz(clean_environ | fault, "--call", json.dumps(call))
    assert "the process ended with SIGKILL" in again.stderr
