# SPDX-License-Identifier: Apache-2.0
"""What attention needs to know about one step."""

from dataclasses import dataclass

import torch
from vllm.v1.attention.backend import AttentionMetadata, CommonAttentionMetadata

__all__ = ["NpuAttentionMetadata"]


@dataclass(frozen=True)
class NpuAttentionMetadata(AttentionMetadata):
    """What attention needs to know about one step.

    Attributes
    ----------
    query_ends
        Per request, the row of its last query plus one. The last entry is the number of rows that
        are computed; rows beyond it are padding.
    kv_lengths
        Per request, how many positions of the cache its last query sees.
    block_table
        ``[requests, blocks]``, int32: numbers of cache blocks, on the device.
    max_query_len
        Longest query of a request; 1 in a decode step.
    num_real_tokens
        Rows that are no padding.
    batch
        What all this was made of: vLLM has the lengths on the device as well, and the slots of the
        cache. None where attention is tried alone.
    """

    query_ends: list[int]
    kv_lengths: list[int]
    block_table: torch.Tensor
    max_query_len: int
    num_real_tokens: int
    batch: CommonAttentionMetadata | None = None

    @property
    def lengths(self) -> dict[str, list[int]]:
        """The lists under the kernel's own names: the host arguments that a replay must renew."""
        return {
            "actual_seq_lengths": self.query_ends,
            "actual_seq_lengths_kv": self.kv_lengths,
        }
