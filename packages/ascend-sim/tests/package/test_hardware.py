# SPDX-License-Identifier: Apache-2.0
"""The suites on another library than the simulator's: what they ask, skip and report."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hardware import SUITES, files_of

import ascend_sim

PACKAGE = Path(__file__).parents[2]


def hardware(environ: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, PACKAGE / "runs" / "hardware.py", *map(str, arguments)]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=600, check=False
    )


@pytest.fixture
def other_library(tmp_path: Path) -> Path:
    """A libascendcl with nothing that only the simulator's has: its functions and its settings."""
    library = ascend_sim.library_path("libascendcl.so").read_bytes()
    for own in (b"ascendSim", b"ASCEND_SIM_"):
        assert own in library
        library = library.replace(own, own.swapcase())
    path = tmp_path / "libascendcl.so"
    path.write_bytes(library)
    return path


def test_no_test_of_the_conformance_suite_fails_for_what_is_the_simulators(
    other_library: Path, clean_environ, tmp_path
) -> None:
    """Given another library, what cannot be asked of it is skipped, and by name."""
    report = tmp_path / "report.json"
    arguments = (f"--libascendcl={other_library}", f"--conformance-report={report}", "-q")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", PACKAGE / "conformance", *arguments],
        env=clean_environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]
    cases = list(json.loads(report.read_text())["cases"].values())
    assert cases.count("passed") > 40
    for reason in ("kernels are launched with the simulator's", "cannot be chosen"):
        assert reason in done.stdout


@pytest.mark.parametrize("short", [False, True], ids=["whole", "short"])
@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_has_its_tests(suite: str, short: bool) -> None:
    files = files_of(suite, short=short)
    assert files
    assert all(file.is_file() for file in files)


def test_the_folders_of_a_suite_belong_to_it() -> None:
    files = files_of("operators", short=False)
    assert {"nn", "attention", "moe"} <= {file.parent.name for file in files}


@pytest.mark.skipif(any(Path("/dev").glob("davinci[0-9]*")), reason="this host has an NPU")
def test_a_host_without_an_npu_is_told_what_it_needs(clean_environ) -> None:
    done = hardware(clean_environ)

    assert done.returncode == 2
    assert "an NPU with its driver: there is no /dev/davinci0" in done.stderr
    assert "CANN: libascendcl.so is not found" in done.stderr


def test_a_rehearsal_reports_what_passed_and_what_was_not_asked(clean_environ, tmp_path) -> None:
    report = tmp_path / "report.md"

    done = hardware(
        clean_environ,
        *("--rehearse", "--short", "--only", "conformance", "--only", "operators"),
        *("--report", report),
    )

    assert done.returncode == 0, report.read_text()
    text = report.read_text()
    assert "1 x Ascend910B3 (simulated)" in text
    assert re.search(r"^\| conformance \| .* \| [1-9]\d* \| 0 \| 0 \|", text, re.M)
    assert re.search(r"^\| operators \| .* \| [1-9]\d* \| 0 \| 0 \|", text, re.M)


def test_a_test_that_fails_is_a_difference_with_its_reason(clean_environ, tmp_path) -> None:
    """Given a device without one operator, the tests of that operator are named."""
    report = tmp_path / "report.md"
    broken = {"ASCEND_SIM_CONFIG": json.dumps({"faults": "fail:aclnnSiluGetWorkspaceSize,from=1"})}

    done = hardware(
        clean_environ | broken,
        *("--rehearse", "--short", "--only", "operators", "--report", report),
    )

    assert done.returncode == 1
    _, _, differing = report.read_text().partition("## What differs")
    (line, *_) = [line for line in differing.splitlines() if "silu" in line]
    assert "aclnnSilu" in line or "RuntimeError" in line


def test_the_switch_leaves_cann_in_its_place(python, cli, tmp_path) -> None:
    """Given ASCEND_SIM=off, neither activation nor the command touches the process."""
    state = "import os; print('LD_LIBRARY_PATH' in os.environ, 'ASCEND_SIM_CONFIG' in os.environ)"
    activated = python(f"import ascend_sim; ascend_sim.activate(); {state}", ASCEND_SIM="off")
    ran = cli("run", "--", sys.executable, "-c", state, ASCEND_SIM="off")
    assert activated == ran.stdout == "False False\n"
    assert "switched off" in ran.stderr

    error = python("import ascend_sim; ascend_sim.counters()", status=1, ASCEND_SIM="off")
    assert "ActivationError: the simulator is switched off (ASCEND_SIM=off)" in error
    error = python("import ascend_sim; ascend_sim.activate()", status=1, ASCEND_SIM="0")
    assert "ConfigError: ASCEND_SIM='0' is not valid" in error
