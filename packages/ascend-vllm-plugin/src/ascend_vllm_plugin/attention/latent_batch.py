# SPDX-License-Identifier: Apache-2.0
"""Batches of latent attention: which requests attend to latents, and in which pieces.

The first requests attend to the latents as they are cached (the absorbed form). From the first one
of many queries on, they attend to keys and values that are made of the latents.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from ascend_ops import KeySpan, LatentShape, in_pieces
from vllm.config import VllmConfig
from vllm.forward_context import get_forward_context
from vllm.v1.attention.backend import CommonAttentionMetadata
from vllm.v1.kv_cache_interface import AttentionSpec

from ascend_vllm_plugin.attention.builder import NpuAttentionMetadataBuilder
from ascend_vllm_plugin.attention.expansion import Expansion
from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata

__all__ = ["NpuLatentMetadata", "NpuLatentMetadataBuilder"]

_MOST_QUERIES = 16
"""Queries per request that the kernel takes with latents."""


@dataclass(frozen=True)
class NpuLatentMetadata(NpuAttentionMetadata):
    """What latent attention needs to know about one step.

    vLLM's layer gives the first ``num_decode_tokens`` rows to ``forward_mqa``, which attends to
    latents, and the others to ``forward_mha``. Padding is part of what comes last, for its results
    are to be zeros.

    Attributes
    ----------
    spans
        Keys that are made of latents, in rows counted after those that attend to latents. The lists
        and the block table of `NpuAttentionMetadata` have the latter, in pieces.
    """

    spans: Sequence[KeySpan] = ()

    @property
    def num_actual_tokens(self) -> int:
        """Rows of the step, padding included."""
        rows: int = get_forward_context().batch_descriptor.num_tokens
        return rows

    @property
    def num_decode_tokens(self) -> int:
        """Rows that attend to latents."""
        if not self.spans:
            return self.num_actual_tokens
        return self.query_ends[-1] if self.query_ends else 0

    @property
    def num_decodes(self) -> int:
        """How many pieces of requests they are of."""
        return len(self.query_ends)

    @property
    def num_prefills(self) -> int:
        """How many spans of keys the others attend to."""
        return len(self.spans)

    @property
    def decode(self) -> "NpuLatentMetadata":
        """Metadata of rows that attend to latents: this."""
        return self


class NpuLatentMetadataBuilder(NpuAttentionMetadataBuilder):
    """Makes the metadata of a step; requests that attend to latents are cut into pieces."""

    def __init__(
        self,
        kv_cache_spec: AttentionSpec,
        layer_names: list[str],
        vllm_config: VllmConfig,
        device: torch.device,
    ) -> None:
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)
        self._table_of_pieces: torch.Tensor | None = None
        layer: Any = vllm_config.compilation_config.static_forward_context[layer_names[0]]
        shape = LatentShape(
            heads=layer.num_heads,
            rank=layer.kv_lora_rank,
            rotated=layer.qk_rope_head_dim,
            plain=layer.qk_nope_head_dim,
            value=layer.v_head_dim,
        )
        workspace = layer.chunked_prefill_workspace_size
        self._expansion = Expansion.of(shape, workspace, vllm_config, device)
        if self._expansion:
            self.reorder_batch_threshold = self._expansion.least_queries - 1

    def build(
        self,
        common_prefix_len: int,
        common_attn_metadata: CommonAttentionMetadata,
        fast_build: bool = False,
    ) -> NpuLatentMetadata:
        """Make the metadata of one step; see `NpuAttentionMetadataBuilder.build`."""
        whole = super().build(common_prefix_len, common_attn_metadata, fast_build)
        values = {field.name: getattr(whole, field.name) for field in fields(whole)}
        if not self._mixed_graphs and whole.max_query_len <= _MOST_QUERIES:
            return NpuLatentMetadata(**values)
        count = len(whole.query_ends)
        if self._expansion and (first := self._expansion.first_request(whole)) < count:
            count, values["spans"] = first, self._expansion.spans(whole, first)
        query_ends, kv_lengths, requests = in_pieces(
            whole.query_ends[:count], whole.kv_lengths[:count], _MOST_QUERIES
        )
        if self._mixed_graphs and count:  # as many pieces in every step of a graph
            tokens = query_ends[-1]
            spare = count + tokens // _MOST_QUERIES - len(query_ends)
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
