# SPDX-License-Identifier: Apache-2.0
"""The example project and its workflow for a public CI service, as a user and the service run them.

Each `run:` step is a command in a fresh copy of the project and a fresh environment. What the steps
install must be satisfied by the packages of this environment, to which the fresh one has a path:
nothing is downloaded.
"""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[3] / "examples" / "decoder_block"
(WORKFLOW,) = PROJECT.glob(".github/workflows/*.yml")
(JOB,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the steps with `uses:` leave: a copy of the project, and a Python first on the path."""
    folder = tmp_path_factory.mktemp("runner")
    shutil.copytree(PROJECT, folder / "project")
    venv.create(folder / "python", symlinks=True)
    (site_packages,) = (folder / "python").glob("lib/*/site-packages")
    (site_packages / "tested.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def test_every_step_of_the_workflow_succeeds(runner: Path, clean_environ: dict[str, str]) -> None:
    environ = clean_environ | JOB["env"] | {"PIP_NO_INDEX": "1"}
    environ["PATH"] = os.pathsep.join((str(runner / "python" / "bin"), environ["PATH"]))
    passed = []
    for step in JOB["steps"]:
        if "run" not in step:
            assert step["uses"] in ("actions/checkout@v4", "actions/setup-python@v5")
            continue
        result = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=runner / "project",
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, f"{step['run']}\n{result.stdout}\n{result.stderr}"
        passed += re.findall(r"\d+ passed", result.stdout)
    assert passed == ["3 passed", "3 passed"]
