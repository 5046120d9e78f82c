# SPDX-License-Identifier: Apache-2.0
"""Which graph a batch is given, where sizes turned out to have none, and which come first."""

from collections.abc import Callable, Collection
from typing import Any

from vllm.config import CUDAGraphMode
from vllm.forward_context import BatchDescriptor
from vllm.v1.cudagraph_dispatcher import CudagraphDispatcher

__all__ = ["NpuDispatcher"]


class NpuDispatcher(CudagraphDispatcher):
    """vLLM's dispatcher, but sizes can be left out of a mode.

    vLLM pads a batch to the next size of its list, whatever the mode. If that size is left out, the
    batch is padded to the next one that is not.
    """

    left_out: frozenset[int] = frozenset()
    comes_first: Callable[[str, int], bool] | None = None
    """Whether a size of a mode is captured before all others."""

    def get_capture_descs(self) -> list[tuple[CUDAGraphMode, list[BatchDescriptor]]]:
        """List what is captured: as vLLM does, after what `comes_first`, FULL before PIECEWISE."""
        given = super().get_capture_descs()
        is_first = self.comes_first
        if is_first is None:
            return given
        first, others = [], []
        for mode, all_of_mode in given:
            chosen = [each for each in all_of_mode if is_first(mode.name, each.num_tokens)]
            first.append((mode, chosen))
            others.append((mode, [each for each in all_of_mode if each not in chosen]))
        return [*reversed(first), *others]

    def leave_out(self, mode: CUDAGraphMode, sizes: Collection[int]) -> None:
        """Give no batch a graph of these sizes, in tokens, any more."""
        keys = self.cudagraph_keys[mode]
        self.cudagraph_keys[mode] = {key for key in keys if key.num_tokens not in sizes}
        self.left_out |= frozenset(sizes)

    def dispatch(
        self, num_tokens: int, *args: Any, **options: Any
    ) -> tuple[CUDAGraphMode, BatchDescriptor]:
        """Choose the mode and the size for a batch, as vLLM does."""
        chosen = super().dispatch(num_tokens, *args, **options)
        if chosen[0] != CUDAGraphMode.NONE or not self.lacks(num_tokens):
            return chosen
        # All padding may fall to one request, which is no longer than others.
        most = num_tokens + self.vllm_config.model_config.max_model_len
        for size in self.compilation_config.cudagraph_capture_sizes:
            if num_tokens < size < most:
                padded = super().dispatch(size, *args, **options)
                if padded[0] != CUDAGraphMode.NONE:
                    return padded
        return chosen

    def lacks(self, num_tokens: int) -> bool:
        """Whether a size that was left out would hold a batch."""
        return any(size >= num_tokens for size in self.left_out)
