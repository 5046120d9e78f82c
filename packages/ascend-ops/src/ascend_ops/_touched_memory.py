# SPDX-License-Identifier: Apache-2.0
"""Which memory the operators of a thread touch."""

from typing import Any

import torch

__all__ = ["touched_memory"]


def touched_memory() -> Any:
    """Make an observer of the memory that the operators of this thread touch.

    It looks on (``at::RecordFunction``) and takes no part in the dispatch of any operator, whatever
    keys that is registered under. It keeps alive what existed before `start`; of what an operator
    reaches for beyond its arguments, what is still there at `stop`.

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
    """
    return torch.classes.ascend.TouchedMemory()
