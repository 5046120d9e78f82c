# SPDX-License-Identifier: Apache-2.0
"""A small torch_npu program: a block of a decoder, replayed as an ACL graph."""

import torch
import torch_npu


def block(x: torch.Tensor, gain: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return x + swiglu(rms_norm(x) @ weight) on the NPU."""
    normed, _ = torch_npu.npu_rms_norm(x, gain, epsilon=1e-6)
    return x + torch_npu.npu_swiglu(normed @ weight)


class ReplayedBlock:
    """The block as a graph for one shape of x: captured once, replayed by each call."""

    def __init__(self, x: torch.Tensor, gain: torch.Tensor, weight: torch.Tensor) -> None:
        self._x = x.clone()
        self._weights = (gain, weight)  # each replay reads their memory: it must not be reused
        self._graph = torch.npu.NPUGraph()
        block(self._x, gain, weight)  # a first run outside of the capture
        with torch.npu.graph(self._graph):
            self._y = block(self._x, gain, weight)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self._x.copy_(x)
        self._graph.replay()
        return self._y.clone()


def allocate_cache(wanted: int, least: int) -> torch.Tensor:
    """Return a cache of `wanted` bytes, halved until the device has room for it."""
    while True:
        try:
            return torch.empty(wanted, dtype=torch.uint8, device="npu")
        except torch.OutOfMemoryError:
            wanted //= 2
            if wanted < least:
                raise
