# SPDX-License-Identifier: Apache-2.0
"""Which memory the operators of a thread touch."""

import re
from functools import lru_cache
from typing import Any

import torch

from ascend_ops._loader import ExtensionLoadError

__all__ = ["touched_memory"]

_KEYS_OF_AN_NPU = re.compile("PrivateUse1|Composite|Autograd$")


def touched_memory() -> Any:
    """Make an observer of the memory that the operators of this thread touch.

    It observes (``at::RecordFunction``) and takes no part in the dispatch of any operator, whatever
    keys that is registered under. It keeps alive what existed before `start`; of what an operator
    reaches for beyond its arguments, what is still there at `stop`. Kernels of torch and torch_npu
    themselves reach for nothing, so what they call is not noted.

    Returns
    -------
    torch.ScriptObject
        With these methods. Addresses are those of the memory under a tensor, as integers.

        ``start()``
            Begin; RuntimeError if this thread is being observed already.
        ``stop()``
            End; nothing to do if it has not begun.
        ``take_made() -> list[int]``
            Addresses of the device memory that operators returned since the last call.
        ``kept() -> list[int]``
            Addresses of what is kept alive.
        ``drop(addresses)``
            Keep these alive no more.
        ``wrote(tensor) -> bool``
            Whether an operator wrote into the tensor's memory, as the operator's schema says.

    Raises
    ------
    ExtensionLoadError
        If the compiled library is older than this file, as in an editable installation.
    """
    in_python = _torch_has_kernels_in_python(len(torch.library._impls))
    try:
        return torch.classes.ascend.TouchedMemory(in_python)
    except RuntimeError as error:
        raise ExtensionLoadError(
            "the compiled library of ascend-ops is older than its Python code. Build it again: "
            "pip install --no-build-isolation --no-deps -e <path of packages/ascend-ops>"
        ) from error


@lru_cache(maxsize=1)
def _torch_has_kernels_in_python(_count: int) -> bool:
    """Whether a program has put Python under torch's own operators; `_count` is of all in Python.

    Torch itself has more than a thousand, for devices such as "meta".
    """
    keys = (key.split("/") for key in torch.library._impls)
    return any(library == "aten" and _KEYS_OF_AN_NPU.search(key) for library, _, key in keys)
