# SPDX-License-Identifier: Apache-2.0
"""Fixtures: programs in processes of their own, since activation is once per process."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

_OWN_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")


@pytest.fixture
def clean_environ() -> dict[str, str]:
    """The environment of a shell in which neither CANN nor the simulator was ever set up."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ASCEND_") and name not in _OWN_VARIABLES
    }


@pytest.fixture
def python(clean_environ: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Run Python code in a fresh process, warnings being errors; return its standard output."""

    def run(code: str, *, status: int = 0, **variables: str) -> str:
        script = tmp_path / "program.py"
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-W", "error", script],
            env=clean_environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    return run


@pytest.fixture
def cli(clean_environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed command ``ascend-sim`` with arguments."""
    program = Path(sys.executable).with_name("ascend-sim")

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            env=clean_environ | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def torch_for_cuda(tmp_path: Path) -> dict[str, str]:
    """The variables of a process that finds torch in a build for CUDA, known by a library of it."""
    folder = tmp_path / "site-packages"
    (folder / "torch" / "lib").mkdir(parents=True)
    (folder / "torch" / "lib" / "libc10_cuda.so").touch()
    (folder / "torch" / "__init__.py").touch()
    (folder / "torch-2.13.0.dist-info").mkdir()
    (folder / "torch-2.13.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n", encoding="utf-8"
    )
    return {"PYTHONPATH": str(folder)}
