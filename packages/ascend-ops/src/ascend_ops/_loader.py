# SPDX-License-Identifier: Apache-2.0
"""Loading of the compiled library: it works, or the import fails and says why."""

from pathlib import Path

import torch
from ascend_core.errors import AscendError

from ascend_ops._version import __version__

__all__ = ["ExtensionLoadError", "load_extension"]

_LIBRARY = "libascend_ops.so"


class ExtensionLoadError(AscendError, ImportError):
    """The compiled library of ascend-ops is absent or does not fit the installed torch."""


def load_extension() -> None:
    """Load the library, which registers the ops.

    Raises
    ------
    ExtensionLoadError
        The library is absent, was built for another torch, or does not load.
    """
    try:
        from ascend_ops import _build
    except ImportError as error:
        raise ExtensionLoadError(
            "ascend-ops has no compiled library: this is a source tree, not an installation. "
            "Install it: pip install <path of packages/ascend-ops>"
        ) from error
    _check_torch(built=_build.TORCH_VERSION, installed=str(torch.__version__))
    # CMake installs both files into one folder, which in an editable installation is not this one.
    library = Path(_build.__file__).with_name(_LIBRARY)
    try:
        torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ExtensionLoadError(
            f"{library} does not load: {error}. Build it again for torch {torch.__version__}: "
            "pip install --force-reinstall --no-deps --no-cache-dir ascend-ops"
        ) from error


def _check_torch(built: str, installed: str) -> None:
    """Compare the minor versions: C++ symbols of torch are stable only within one."""
    minor = built.split(".")[:2]
    if installed.split(".")[:2] != minor:
        raise ExtensionLoadError(
            f"ascend-ops {__version__} was built for torch {built}, but torch {installed} is "
            "installed. Install the fitting one: pip install --extra-index-url "
            f"https://download.pytorch.org/whl/cpu 'torch=={'.'.join(minor)}.*'"
        )
