# SPDX-License-Identifier: Apache-2.0
"""Where pip gets torch's build for the CPU; `noxfile.py` asks.

PyPI's torch for Linux is built for CUDA, and torch_npu cannot be loaded next to it.
"""

import os
import subprocess
from pathlib import Path

__all__ = [
    "INDEX_VARIABLE",
    "PYTORCH_INDEX",
    "advice",
    "fallback_index",
    "index_options",
    "is_found",
]

INDEX_VARIABLE = "TORCH_CPU_INDEX"
"""Environment variable that replaces `PYTORCH_INDEX` by another index or a folder of wheels."""
PYTORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def is_found(python: str, requirement: str, *options: str) -> bool:
    """Say whether the pip of an interpreter, as it is configured here, finds a requirement.

    Parameters
    ----------
    python
        Path of the interpreter.
    requirement
        Such as "torch==2.13.0+cpu". Nothing is installed.
    *options
        More options of pip's, such as `index_options`.
    """
    ask = ("install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet")
    answer = subprocess.run((python, "-m", "pip", *ask, *options, requirement), capture_output=True)
    return answer.returncode == 0


def fallback_index() -> str:
    """Return the index or folder that torch comes from where pip as configured finds none."""
    return os.environ.get(INDEX_VARIABLE) or PYTORCH_INDEX


def index_options(index: str) -> tuple[str, ...]:
    """Return the options with which pip takes a package from an index or a folder of wheels."""
    if Path(index).is_dir():
        return ("--no-index", "--find-links", index)
    return ("--index-url", index)


def advice(requirement: str, index: str) -> str:
    """Return what to set where neither pip's configuration nor the index has the requirement."""
    return (
        f"pip finds no {requirement}, neither as configured nor in {index}; its lines above say "
        f"why. Set {INDEX_VARIABLE} (a folder or an index that torch alone is taken from), "
        "PIP_FIND_LINKS (a folder with the wheel) or PIP_EXTRA_INDEX_URL (an index that has it)"
    )
