# SPDX-License-Identifier: Apache-2.0
"""The compiled half of the package: it adapts an extension to the layout of torch's tensors."""

import ctypes
from functools import cache
from pathlib import Path

import torch

from ascend_xlite_bridge._version import __version__
from ascend_xlite_bridge.errors import XliteUnavailableError

__all__ = ["adapt", "check_copies", "count_copies", "sizes_offset"]

_LIBRARY = "libascend_xlite_bridge.so"
_REBUILD = "Install the package again: pip install --force-reinstall --no-deps ascend-xlite-bridge"


def sizes_offset() -> int:
    """Where tensors of the installed torch have their sizes, in bytes; measured on a tensor.

    Raises
    ------
    XliteUnavailableError
        If the compiled half is absent or was built for another torch, or if the tensors of this
        torch have a layout that is not known.
    """
    offset = ctypes.c_size_t()
    _check(_library().xlite_bridge_sizes_offset(ctypes.byref(offset)))
    return offset.value


def check_copies() -> None:
    """Make copies of tensors of many kinds in the other layout, and compare them with torch.

    Raises
    ------
    XliteUnavailableError
        If a copy has a wrong field.
    """
    _check(_library().xlite_bridge_check_copies())


def adapt(extension: Path) -> None:
    """Let a loaded extension that was compiled against torch 2.10 see tensors in that layout.

    Doing it again changes nothing. The file is not touched.

    Parameters
    ----------
    extension
        The file of the extension.

    Raises
    ------
    XliteUnavailableError
        If the two places that hold its calls into torch are not found.
    """
    _check(_library().xlite_bridge_adapt(str(extension).encode()), f"{extension.name}: ")


def count_copies() -> int:
    """Tensors in the other layout that are alive: what the engine holds."""
    return int(_library().xlite_bridge_copies())


def _check(problem: bytes | None, subject: str = "") -> None:
    if problem is not None:
        reason = f"{subject}{problem.decode(errors='replace')} (torch {torch.__version__})"
        raise XliteUnavailableError(reason, _REBUILD)


@cache
def _library() -> ctypes.CDLL:
    try:
        from ascend_xlite_bridge import _build
    except ImportError as error:
        raise XliteUnavailableError(
            "ascend-xlite-bridge has no compiled library: this is a source tree",
            "Install it: pip install <path of packages/ascend-xlite-bridge>",
        ) from error
    minor = _build.TORCH_VERSION.split(".")[:2]
    if str(torch.__version__).split(".")[:2] != minor:
        raise XliteUnavailableError(
            f"ascend-xlite-bridge {__version__} was built for torch {_build.TORCH_VERSION}, and "
            f"torch {torch.__version__} is installed",
            f"Install the fitting one: pip install 'torch=={'.'.join(minor)}.*'",
        )
    path = Path(_build.__file__).with_name(_LIBRARY)
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise XliteUnavailableError(f"{path} does not load: {error}", _REBUILD) from error
    for name in ("sizes_offset", "check_copies", "adapt"):
        getattr(library, f"xlite_bridge_{name}").restype = ctypes.c_char_p
    library.xlite_bridge_copies.restype = ctypes.c_int64
    return library
