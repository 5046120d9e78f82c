# SPDX-License-Identifier: Apache-2.0
"""Which memory captured work touches, so that the graph can keep it alive."""

from types import TracebackType
from typing import Self

import torch
from ascend_ops import touched_memory

from ascend_aclgraph._pool import MemoryPool

__all__ = ["KeepAlive"]


class KeepAlive:
    """Keep the memory that existed before the capture and that an operator in it touches.

    A captured task holds raw addresses. Those of the pool live as long as the graph; all others
    live only as long as somebody holds a tensor, and a closure that is kept alive does not promise
    that: what it refers to can be rebound. So the graph itself holds the memory found here.

    Parameters
    ----------
    pool
        Pool of the capture; learns which addresses are its own.
    """

    def __init__(self, pool: MemoryPool) -> None:
        self._pool = pool
        self._memory = touched_memory()

    def wrote(self, tensor: torch.Tensor) -> bool:
        """Tell whether an operator wrote into the memory under a tensor."""
        return bool(self._memory.wrote(tensor))

    def update_pool(self) -> None:
        """Let the pool learn what the capture has allocated so far."""
        self._pool.adopt(self._memory.take_made())

    def __enter__(self) -> Self:
        self._memory.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._memory.stop()
        self.update_pool()
        self._memory.drop(list(filter(self._pool.owns_block, self._memory.kept())))
