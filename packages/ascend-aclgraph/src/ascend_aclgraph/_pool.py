# SPDX-License-Identifier: Apache-2.0
"""The device memory that graphs allocate from, and share."""

from collections.abc import Iterable
from typing import Any

import torch

from ascend_aclgraph import _native
from ascend_aclgraph._native import PoolToken, npu

__all__ = ["MemoryPool"]


class MemoryPool:
    """Device memory of one or several graphs.

    Graphs of one pool reuse each other's memory: the pool costs about as much as its largest graph.
    So a graph's outputs hold until another graph of the pool is replayed, and replays of one pool
    must not overlap on the device: a replay on another stream than the last one waits for it.

    Parameters
    ----------
    token
        Handle of an existing pool (`torch.npu.graph_pool_handle()`); by default a new one. Used
        until the last graph here is closed.
    stream
        Where captures of this pool run; by default one of torch_npu's streams. The allocator reuses
        memory within one stream only, so graphs that share memory must share this too.
    """

    def __init__(self, token: PoolToken | None = None, stream: Any = None) -> None:
        self.token: PoolToken = token or npu.graph_pool_handle()
        self.stream = stream or npu.Stream()
        self._blocks: set[int] = set()
        self._graphs = 0
        self._last_stream: Any = None

    def weak(self, tensor: torch.Tensor) -> torch.Tensor:
        """Make a reference to a tensor of this pool that leaves its memory to the next graph.

        Tensors from elsewhere are returned as they are: nothing but a reference keeps those alive.
        """
        return _native.weak_tensor(tensor) if self.owns(tensor) else tensor

    def owns(self, tensor: torch.Tensor) -> bool:
        """Tell whether the tensor's memory came from this pool."""
        return self.owns_block(tensor.untyped_storage().data_ptr())

    def owns_block(self, block: int) -> bool:
        """Tell whether the block at an address came from this pool."""
        return block in self._blocks

    def adopt(self, blocks: Iterable[int]) -> None:
        """Note that the blocks at these addresses were allocated in a capture of this pool."""
        self._blocks.update(blocks)

    def order_replay_on(self, stream: Any) -> None:
        """Make `stream` wait for the last replay of the pool, if that was on another stream."""
        last = self._last_stream
        if last is stream:  # as ever; comparing streams costs as much as issuing a small graph
            return
        # Not `last != stream`: torch_npu's streams say that None and a stream do not differ.
        if last is not None and not last == stream:  # noqa: SIM201
            stream.wait_stream(last)
        self._last_stream = stream

    def wait_for_replay(self) -> None:
        """Wait on the host until the last replay of the pool has ended."""
        if self._last_stream is not None:
            self._last_stream.synchronize()

    def enter(self) -> None:
        """Count a graph in; the first one finds the allocator's cache empty, as in torch_npu."""
        if self._graphs == 0:
            npu.empty_cache()
        self._graphs += 1

    def leave(self) -> None:
        """Count a graph out; after the last one the pool is as new.

        Its memory may be returned then, so addresses mean nothing; and torch_npu's allocators
        refuse a handle that was in use and is no more.
        """
        self._graphs -= 1
        if self._graphs == 0:
            self._blocks.clear()
            self.token = npu.graph_pool_handle()

    def abandon(self, device: int) -> None:
        """Start over with new memory after a capture that could not even begin.

        What torch_npu leaves behind on the host side of the old pool cannot be taken back, and
        would make the next capture in it fail.
        """
        _native.abandon_pool_routing(device, self.token)
        _native.release_pool(device, self.token)
        self.token = npu.graph_pool_handle()
