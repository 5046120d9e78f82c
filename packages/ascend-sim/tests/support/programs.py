# SPDX-License-Identifier: Apache-2.0
"""Fixtures: programs in processes of their own, since activation is once per process."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

__all__ = ["Program", "clean_environ", "cli", "program", "python"]

_OWN_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")

Program = Callable[..., subprocess.CompletedProcess[str]]


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
        command = [sys.executable, "-W", "error", _script(tmp_path, code)]
        result = _run(command, clean_environ | variables)
        assert result.returncode == status, result.stderr
        return result.stdout if status == 0 else result.stderr

    return run


@pytest.fixture
def cli(clean_environ: dict[str, str]) -> Program:
    """Run the installed command ``ascend-sim`` with arguments."""
    launcher = Path(sys.executable).with_name("ascend-sim")

    def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return _run([launcher, *arguments], clean_environ | variables)

    return run


@pytest.fixture
def program(cli: Program, tmp_path: Path) -> Program:
    """Run Python code on a simulated machine of its own: with ``ascend-sim run``."""

    def run(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return cli("run", "--", sys.executable, _script(tmp_path, code), **variables)

    return run


def _script(folder: Path, code: str) -> Path:
    script = folder / "program.py"
    script.write_text(textwrap.dedent(code), encoding="utf-8")
    return script


def _run(command: list[str | Path], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=300, check=False
    )
