# SPDX-License-Identifier: Apache-2.0
"""Batches of latent attention: requests in pieces that are short enough for the kernel."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from ascend_ops import in_pieces
from vllm.forward_context import get_forward_context
from vllm.v1.attention.backend import CommonAttentionMetadata

from ascend_vllm_plugin.attention.builder import NpuAttentionMetadataBuilder
from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata

__all__ = ["NpuLatentMetadata", "NpuLatentMetadataBuilder"]

_MOST_QUERIES = 16
"""Queries per request that the kernel takes with latents."""


@dataclass(frozen=True)
class NpuLatentMetadata(NpuAttentionMetadata):
    """What latent attention needs to know about one step, where a request may be several pieces.

    vLLM's layer asks which tokens are decoded. All are, as it sees them: attention is in the space
    of latents for every token, padding included, whose results are to be zeros.
    """

    @property
    def num_actual_tokens(self) -> int:
        """Rows of the step, padding included."""
        rows: int = get_forward_context().batch_descriptor.num_tokens
        return rows

    @property
    def num_decode_tokens(self) -> int:
        """All rows."""
        return self.num_actual_tokens

    @property
    def num_decodes(self) -> int:
        """All requests."""
        return len(self.query_ends)

    @property
    def num_prefills(self) -> int:
        """None of them."""
        return 0

    @property
    def decode(self) -> "NpuLatentMetadata":
        """Metadata of what is decoded: this."""
        return self


class NpuLatentMetadataBuilder(NpuAttentionMetadataBuilder):
    """Makes the metadata of a step, with requests of many queries cut into pieces."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._table_of_pieces: torch.Tensor | None = None

    def build(
        self,
        common_prefix_len: int,
        common_attn_metadata: CommonAttentionMetadata,
        fast_build: bool = False,
    ) -> NpuLatentMetadata:
        """Make the metadata of one step; see `NpuAttentionMetadataBuilder.build`."""
        whole = super().build(common_prefix_len, common_attn_metadata, fast_build)
        values = {field.name: getattr(whole, field.name) for field in fields(whole)}
        tokens = whole.query_ends[-1]
        if not self._mixed_graphs and whole.max_query_len <= _MOST_QUERIES:
            return NpuLatentMetadata(**values)
        query_ends, kv_lengths, requests = in_pieces(
            whole.query_ends, whole.kv_lengths, _MOST_QUERIES
        )
        if self._mixed_graphs:  # as many pieces in every step of a graph
            spare = len(whole.query_ends) + tokens // _MOST_QUERIES - len(query_ends)
            query_ends += [tokens] * spare
            kv_lengths += [0] * spare
            requests += [0] * spare
        values["query_ends"], values["kv_lengths"] = query_ends, kv_lengths
        values["block_table"] = self._rows_of(whole.block_table, requests)
        return NpuLatentMetadata(**values)

    def _rows_of(self, block_table: torch.Tensor, requests: list[int]) -> torch.Tensor:
        """Copy rows of the block table to a fixed address, which graphs read."""
        if self._table_of_pieces is None:
            scheduler = self.vllm_config.scheduler_config
            most = scheduler.max_num_seqs + 1 + scheduler.max_num_batched_tokens // _MOST_QUERIES
            self._table_of_pieces = block_table.new_zeros(most, block_table.shape[1])
        rows = torch.tensor(requests, dtype=torch.int32).to(block_table.device)
        table = self._table_of_pieces[: len(requests)]
        return torch.index_select(block_table, 0, rows, out=table)
