# SPDX-License-Identifier: Apache-2.0
"""Makes the metadata of a step, with padding that covers a graph."""

from typing import ClassVar

import torch
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.v1.attention.backend import (
    AttentionCGSupport,
    AttentionMetadataBuilder,
    CommonAttentionMetadata,
)
from vllm.v1.kv_cache_interface import AttentionSpec

from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata

__all__ = ["NpuAttentionMetadataBuilder"]


class NpuAttentionMetadataBuilder(AttentionMetadataBuilder[NpuAttentionMetadata]):
    """Makes the metadata of a step, and pads the requests so that they cover all rows of a graph.

    The kernel demands that the queries of all requests add up to the rows it gets, and as many rows
    of the block table as requests. A graph has more rows than the step, so padding requests take
    the rest: each sees as many positions of the null block, which holds zeros, as it has rows.
    """

    # Lengths and the block table are the only things that differ between steps, and both are
    # renewed: any mix of prefill and decode can replay.
    _cudagraph_support: ClassVar[AttentionCGSupport] = AttentionCGSupport.ALWAYS

    def __init__(
        self,
        kv_cache_spec: AttentionSpec,
        layer_names: list[str],
        vllm_config: VllmConfig,
        device: torch.device,
    ) -> None:
        super().__init__(kv_cache_spec, layer_names, vllm_config, device)
        mode = vllm_config.compilation_config.cudagraph_mode
        self._mixed_graphs = mode.mixed_mode() == CUDAGraphMode.FULL
        self._padded_table: torch.Tensor | None = None

    def build(
        self,
        common_prefix_len: int,  # noqa: ARG002
        common_attn_metadata: CommonAttentionMetadata,
        fast_build: bool = False,  # noqa: ARG002
    ) -> NpuAttentionMetadata:
        """Make the metadata of one step.

        Parameters
        ----------
        common_prefix_len, fast_build
            Not used; vLLM's interface has them.
        common_attn_metadata
            The batch. In FULL mode its requests and tokens are padded to those of the graph.

        Returns
        -------
        NpuAttentionMetadata
            With queries that add up to all of the batch's tokens.
        """
        batch = common_attn_metadata
        query_ends = batch.query_start_loc_cpu[1 : batch.num_reqs + 1].tolist()
        # Named an upper bound because of speculative decoding, which the platform refuses.
        assert batch.seq_lens_cpu_upper_bound is not None
        kv_lengths = batch.seq_lens_cpu_upper_bound[: batch.num_reqs].tolist()
        num_real_tokens = query_ends[-1]
        block_table = batch.block_table_tensor
        if self._mixed_graphs and batch.num_actual_tokens > batch.num_reqs:
            block_table = self._with_spare_request(block_table)
            query_ends.append(num_real_tokens)
            kv_lengths.append(0)
        _cover_padding(query_ends, kv_lengths, batch.num_actual_tokens)
        return NpuAttentionMetadata(
            query_ends,
            kv_lengths,
            block_table,
            batch.max_query_len,
            num_real_tokens,
            batch,
        )

    def _with_spare_request(self, block_table: torch.Tensor) -> torch.Tensor:
        """Copy the block table in front of one more row, of null blocks, at a fixed address.

        A graph of more tokens than requests may be full of requests and still need padding.
        """
        requests, blocks = block_table.shape
        if self._padded_table is None:
            most = self.vllm_config.scheduler_config.max_num_seqs
            self._padded_table = block_table.new_zeros(most + 1, blocks)
        self._padded_table[:requests].copy_(block_table)
        self._padded_table[requests].zero_()
        return self._padded_table[: requests + 1]


def _cover_padding(query_ends: list[int], kv_lengths: list[int], num_tokens: int) -> None:
    """Let the padding requests at the end of the lists cover the rows up to `num_tokens`.

    One row each, from the last one backwards; what is then left goes to the first of them. Empty
    requests keep no rows. In place, for it happens every step.
    """
    spare = num_tokens - query_ends[-1]
    if not spare:
        return
    real_end = query_ends[-1]
    first = query_ends.index(real_end) + 1
    if first == len(query_ends):
        raise AssertionError(f"no padding request for {spare} padding rows: {query_ends}")
    count = len(query_ends) - first
    rows = [0] * max(count - spare, 0) + [1] * min(count, spare)
    rows[0] += spare - sum(rows)
    for index, row_count in enumerate(rows, start=first):
        query_ends[index] = query_ends[index - 1] + row_count
        kv_lengths[index] = row_count
