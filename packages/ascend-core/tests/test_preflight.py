# SPDX-License-Identifier: Apache-2.0
"""What a program sees that imports torch_npu where it cannot work."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ascend_core import versions

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("_ascend_preflight") is None,
    reason="needs the installed package: its .pth file is not in src/",
)


@pytest.fixture
def no_libascendcl(monkeypatch) -> None:
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "ASCEND_SIM_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    probe = [sys.executable, "-c", "import ctypes; ctypes.CDLL('libascendcl.so')"]
    if subprocess.run(probe, capture_output=True).returncode == 0:
        pytest.skip("libascendcl is on the system's own library path")


def pretend_torch_npu(folder: Path, version: str) -> None:
    package = folder / "torch_npu"
    package.mkdir()
    (package / "__init__.py").write_text("print('the body runs')\n")
    metadata = folder / f"torch_npu-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: torch_npu\nVersion: {version}\n")


def import_torch_npu(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", "import torch_npu"]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def test_without_libascendcl_both_ways_to_go_on_are_named(no_libascendcl, tmp_path):
    pretend_torch_npu(tmp_path, versions.installed("torch") or "2.13.0")

    result = import_torch_npu(tmp_path)

    assert result.returncode != 0
    assert "set_env.sh" in result.stderr
    assert "ascend-sim run" in result.stderr


def test_a_torch_npu_of_another_torch_is_named_with_the_command_that_mends_it(tmp_path):
    pretend_torch_npu(tmp_path, "2.9.0")

    result = import_torch_npu(tmp_path)

    assert result.returncode != 0
    assert "torch_npu 2.9.0 is installed" in result.stderr
    assert 'pip install "torch_npu>=' in result.stderr


def test_a_torch_for_cuda_is_named_before_torch_npu_aborts(tmp_path, make_build_for_cuda):
    pretend_torch_npu(tmp_path, versions.installed("torch") or "2.13.0")
    make_build_for_cuda()

    result = import_torch_npu(tmp_path)

    assert result.returncode == 1  # an error of Python's, not a signal
    assert "the body runs" not in result.stdout
    assert "is a build for CUDA" in result.stderr
    assert '"torch==2.13.0+cpu"' in result.stderr


def test_where_it_can_work_nothing_is_in_its_way(run_python, tmp_path):
    pretend_torch_npu(tmp_path, versions.installed("torch") or "2.13.0")

    output = run_python(f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import torch_npu")

    assert output == "the body runs"


def test_looking_for_torch_npu_never_fails(no_libascendcl, tmp_path):
    pretend_torch_npu(tmp_path, "2.9.0")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    code = "import importlib.util; print(importlib.util.find_spec('torch_npu') is not None)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )

    assert result.stdout.strip() == "True", result.stderr
