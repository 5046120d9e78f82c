# SPDX-License-Identifier: Apache-2.0
"""The package as its users run it: programs in processes of their own."""

from pathlib import Path

import pytest
from support.programs import clean_environ, cli, python

__all__ = ["clean_environ", "cli", "python", "torch_for_cuda"]


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
