# SPDX-License-Identifier: Apache-2.0
"""Which requests attend to keys and values made of their latents, and how many keys at once."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
import torch_npu
from ascend_ops import BLOCK_SIZE, KeySpan, LatentShape, key_spans, packed_attention
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.logger import init_logger

from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata

__all__ = ["Expansion"]

logger = init_logger(f"vllm.{__name__}")


@dataclass(frozen=True)
class Expansion:
    """When keys and values of all heads are made of latents, which pays for many queries.

    Attributes
    ----------
    least_queries
        From how many queries of a request on.
    most_keys
        How many keys are made at once.
    largest_graph
        Tokens of the largest graph that prompts may replay in FULL mode. Batches of no more tokens
        are left to it: what a graph does must not depend on the lengths in the batch.
    """

    least_queries: int
    most_keys: int
    largest_graph: int

    @classmethod
    def of(
        cls, shape: LatentShape, workspace: int, vllm_config: VllmConfig, device: torch.device
    ) -> Self | None:
        """Choose for a model, whose attention is tried once on `device`.

        Parameters
        ----------
        shape
            Of the model's latent attention.
        workspace
            Tokens whose keys and values take the memory that vLLM leaves for them.
        vllm_config
            Names the type and the graphs.
        device
            In use already.

        Returns
        -------
        Expansion or None
            None if it never pays, or if the kernel refuses keys and values of these sizes, which is
            logged: all queries then attend to the latents.
        """
        least = shape.least_queries
        if least is None:
            return None
        try:
            _try_kernel(shape, vllm_config.model_config.dtype, device)
        except RuntimeError as error:
            logger.info_once(
                "long prompts attend to latents, which takes longer than to keys and values: "
                "attention on this device refuses those (%s)",
                str(error).strip().splitlines()[-1],
            )
            return None
        elements = workspace * shape.heads * (shape.plain + shape.value)
        compilation = vllm_config.compilation_config
        in_graphs = compilation.cudagraph_mode.mixed_mode() == CUDAGraphMode.FULL
        sizes = compilation.cudagraph_capture_sizes if in_graphs else []
        return cls(least, max(shape.most_keys(elements), 2 * BLOCK_SIZE), max(sizes, default=0))

    def first_request(self, metadata: NpuAttentionMetadata) -> int:
        """Find the first request that is expanded; so are all after it.

        vLLM puts requests of few queries first, except for those that begin.

        Parameters
        ----------
        metadata
            Of the batch.

        Returns
        -------
        int
            As many as there are requests if none of them is.
        """
        ends = metadata.query_ends
        if ends[-1] > self.largest_graph:
            for request, (start, end) in enumerate(pairwise((0, *ends))):
                if end - start >= self.least_queries:
                    return request
        return len(ends)

    def spans(self, metadata: NpuAttentionMetadata, first: int) -> list[KeySpan]:
        """Divide the keys of the requests from `first` on; rows count from its first query."""
        ends = metadata.query_ends
        start = ends[first - 1] if first else 0
        return key_spans(
            [end - start for end in ends[first:]],
            metadata.kv_lengths[first:],
            metadata.block_table[first:],
            BLOCK_SIZE,
            self.most_keys,
        )


def _try_kernel(shape: LatentShape, dtype: torch.dtype, device: torch.device) -> None:
    """Attend to one key and wait for it; a RuntimeError says what the kernel refuses."""
    key = torch.zeros(1, shape.heads, shape.plain + shape.rotated, dtype=dtype, device=device)
    value = key.new_zeros(1, shape.heads, shape.value)
    packed_attention(key, key, value, [1], [1], 1.0, causal=True)
    torch_npu.npu.synchronize()
