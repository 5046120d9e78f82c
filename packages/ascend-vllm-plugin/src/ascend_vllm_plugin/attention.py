# SPDX-License-Identifier: Apache-2.0
"""Grouped-query attention on torch_npu's fused kernel, over a paged KV cache.

The kernel takes the lengths of the requests as host lists. In a captured graph these are fixed, so
in FULL mode the call is recorded as *updatable*: every replay carries the lengths of its step
(`NpuAttentionMetadata.lengths`), see `ascend_aclgraph.updatable`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch_npu
from ascend_aclgraph import updatable
from ascend_core import OptionError
from vllm.config import CUDAGraphMode, VllmConfig
from vllm.v1.attention.backend import (
    AttentionBackend,
    AttentionCGSupport,
    AttentionImpl,
    AttentionMetadata,
    AttentionMetadataBuilder,
    AttentionType,
    CommonAttentionMetadata,
)
from vllm.v1.kv_cache_interface import AttentionSpec, KVCacheLayout

__all__ = [
    "BLOCK_SIZE",
    "NpuAttentionBackend",
    "NpuAttentionImpl",
    "NpuAttentionMetadata",
    "NpuAttentionMetadataBuilder",
    "try_kernel",
]

BLOCK_SIZE = 128
"""Tokens per block of the KV cache; the kernel documents multiples of 128 up to 512 for prefill."""

_CAUSAL_MASK_SIZE = 2048
"""Side of the mask that the kernel tiles itself when sparse_mode is 3 (documented, fixed)."""

_CAUSAL_FROM_THE_RIGHT = 3
"""sparse_mode: causal, with the last query aligned to the last key. Right for chunked prefill."""


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
    """

    query_ends: list[int]
    kv_lengths: list[int]
    block_table: torch.Tensor
    max_query_len: int
    num_real_tokens: int

    @property
    def lengths(self) -> dict[str, list[int]]:
        """The lists under the kernel's own names: the host arguments that a replay must renew."""
        return {
            "actual_seq_lengths": self.query_ends,
            "actual_seq_lengths_kv": self.kv_lengths,
        }


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
            query_ends, kv_lengths, block_table, batch.max_query_len, num_real_tokens
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


@dataclass(frozen=True, slots=True)
class _CacheHalves:
    """A layer's cache as the kernels want it: keys and values as two dense tensors.

    vLLM's page holds K and V of a head side by side. The layer's bytes are one dense run
    (`supported_kv_cache_layouts`), so its first half serves as keys and its second as values. Code
    that moves whole blocks would not know, which is why KV transfer is refused.

    Attributes
    ----------
    whole
        vLLM's tensor, ``[blocks, kv_heads, block_size, 2 * head_size]``.
    keys, values
        ``[blocks, block_size, kv_heads, head_size]``.
    flat_keys, flat_values
        ``[blocks, block_size, kv_heads * head_size]``.
    """

    whole: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    flat_keys: torch.Tensor
    flat_values: torch.Tensor

    @classmethod
    def of(cls, kv_cache: torch.Tensor, head_size: int) -> Self:
        """View a layer's cache."""
        blocks, kv_heads, block_size, _ = kv_cache.shape
        keys, values = kv_cache.view(2, blocks, block_size, kv_heads, head_size)
        return cls(kv_cache, keys, values, keys.flatten(2), values.flatten(2))


class NpuAttentionImpl(AttentionImpl[NpuAttentionMetadata]):
    """Attention of one layer. What it does not support is refused here, by name."""

    def __init__(
        self,
        num_heads: int,
        head_size: int,
        scale: float,
        num_kv_heads: int | None = None,
        alibi_slopes: list[float] | None = None,
        sliding_window: int | None = None,
        kv_cache_dtype: str = "auto",
        logits_soft_cap: float | None = None,
        attn_type: str = AttentionType.DECODER,
        kv_sharing_target_layer_name: str | None = None,
        sinks: torch.Tensor | None = None,
    ) -> None:
        refused = {
            "ALiBi slopes": alibi_slopes,
            "a sliding window": sliding_window,
            "a soft cap on logits": logits_soft_cap,
            "attention sinks": sinks,
            "a KV cache shared between layers": kv_sharing_target_layer_name,
            f"attention of type {attn_type!r}": attn_type != AttentionType.DECODER,
            f"a KV cache of type {kv_cache_dtype!r}": kv_cache_dtype != "auto",
        }
        for what, value in refused.items():
            if value:
                raise OptionError("--model", what, "attention does not do it in this version")
        self.num_heads = num_heads
        self.head_size = head_size
        self.scale = scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_cache_dtype = kv_cache_dtype
        self._cache: _CacheHalves | None = None

    def do_kv_cache_update(
        self,
        layer: torch.nn.Module,  # noqa: ARG002
        key: torch.Tensor,
        value: torch.Tensor,
        kv_cache: torch.Tensor,
        slot_mapping: torch.Tensor,
    ) -> None:
        """Write keys and values into the cache.

        Parameters
        ----------
        layer
            Not used; vLLM's interface has it.
        key, value
            ``[tokens, kv_heads, head_size]``.
        kv_cache
            This layer's part of vLLM's cache.
        slot_mapping
            ``[tokens]``, int64; negative for padding, which is not written. So nothing is ever
            written to the null block, and what padding reads there stays finite.
        """
        cache = self._halves(kv_cache)
        torch_npu.npu_scatter_pa_kv_cache(
            key.contiguous(),
            value.contiguous(),
            cache.keys,
            cache.values,
            slot_mapping,
            cache_mode="Norm",
        )

    def forward(
        self,
        layer: torch.nn.Module,  # noqa: ARG002
        query: torch.Tensor,
        key: torch.Tensor,  # noqa: ARG002
        value: torch.Tensor,  # noqa: ARG002
        kv_cache: torch.Tensor,
        attn_metadata: NpuAttentionMetadata | None,
        output: torch.Tensor,
        output_scale: torch.Tensor | None = None,  # noqa: ARG002
        output_block_scale: torch.Tensor | None = None,  # noqa: ARG002
    ) -> torch.Tensor:
        """Attend to the cache.

        Parameters
        ----------
        layer, key, value, output_scale, output_block_scale
            Not used; vLLM's interface has them.
        query
            ``[tokens, heads, head_size]``, padding included.
        kv_cache
            This layer's part of vLLM's cache, this step's keys and values included.
        attn_metadata
            None while vLLM measures memory.
        output
            Like `query`; written.

        Returns
        -------
        torch.Tensor
            `output`. Padding rows are finite: they reach the next layer, whose keys and values
            would otherwise spread NaN.
        """
        if attn_metadata is None:
            return output.zero_()
        rows = attn_metadata.query_ends[-1]
        if rows < output.shape[0]:  # PIECEWISE: the pieces are padded, attention is not
            output[rows:].zero_()
        self._attend(query[:rows], kv_cache, attn_metadata, output[:rows])
        return output

    def _attend(
        self,
        query: torch.Tensor,
        kv_cache: torch.Tensor,
        metadata: NpuAttentionMetadata,
        output: torch.Tensor,
    ) -> None:
        cache = self._halves(kv_cache)
        arguments: dict[str, Any] = {
            "query": query.contiguous(),
            "key": cache.flat_keys,
            "value": cache.flat_values,
            "atten_mask": _causal_mask(query.device),
            "block_table": metadata.block_table,
            "input_layout": "TND",
            "block_size": cache.keys.shape[1],
            "num_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "scale": self.scale,
            "sparse_mode": _CAUSAL_FROM_THE_RIGHT,
            **metadata.lengths,
        }
        # The kernel wants a place for the log-sum-exp even when it does not return any.
        out = [output, query.new_empty(1)]
        operator = torch_npu.npu_fused_infer_attention_score.out
        if not torch_npu.npu.is_current_stream_capturing():
            operator(**arguments, out=out)
            return
        # Freed when this returns: the allocator gives the same scratch memory to the next layer.
        workspace = torch_npu._npu_fused_infer_attention_score_get_max_workspace(**arguments)
        updatable(
            operator,
            host_args=tuple(metadata.lengths),
            workspace=workspace,
            out=out,
            **arguments,
        )

    def _halves(self, kv_cache: torch.Tensor) -> _CacheHalves:
        """View the layer's cache as keys and values.

        The views are made once per cache: in eager attention they would be a tenth of the host's
        time for a layer.
        """
        if self._cache is None or self._cache.whole is not kv_cache:
            self._cache = _CacheHalves.of(kv_cache, self.head_size)
        return self._cache


def try_kernel(num_heads: int, num_kv_heads: int, head_size: int, dtype: torch.dtype) -> None:
    """Attend to one token on the current device and wait for it.

    Raises
    ------
    RuntimeError
        If the kernel refuses these sizes or this type.
    """
    device = torch.device("npu", torch_npu.npu.current_device())
    query = torch.zeros(1, num_heads, head_size, dtype=dtype, device=device)
    kv_cache = query.new_zeros(1, num_kv_heads, BLOCK_SIZE, 2 * head_size)
    table = torch.zeros(1, 1, dtype=torch.int32, device=device)
    attention = NpuAttentionImpl(num_heads, head_size, head_size**-0.5, num_kv_heads)
    attention._attend(
        query, kv_cache, NpuAttentionMetadata([1], [1], table, 1, 1), torch.empty_like(query)
    )
    torch_npu.npu.synchronize()


_masks: dict[torch.device, torch.Tensor] = {}


def _causal_mask(device: torch.device) -> torch.Tensor:
    """Make the mask that sparse_mode 3 wants once per device; True is masked."""
    mask = _masks.get(device)
    if mask is None:
        size = (_CAUSAL_MASK_SIZE, _CAUSAL_MASK_SIZE)
        mask = torch.ones(size, dtype=torch.bool).triu_(1).to(device)
        _masks[device] = mask
    return mask


class NpuAttentionBackend(AttentionBackend):
    """What vLLM asks about the attention above."""

    forward_includes_kv_cache_update = False
    supported_dtypes: ClassVar[list[torch.dtype]] = [torch.bfloat16, torch.float16, torch.float32]
    supported_kv_cache_dtypes: ClassVar[list[str]] = ["auto"]

    @staticmethod
    def get_name() -> str:
        """Name in vLLM's registry of backends; other platforms share this one."""
        return "CUSTOM"

    @staticmethod
    def get_impl_cls() -> type[NpuAttentionImpl]:
        """Class of a layer's attention."""
        return NpuAttentionImpl

    @staticmethod
    def get_builder_cls() -> type[NpuAttentionMetadataBuilder]:
        """Class that makes a step's metadata."""
        return NpuAttentionMetadataBuilder

    @staticmethod
    def get_supported_kernel_block_sizes(
        kv_cache_spec: Any = None,  # noqa: ARG004
    ) -> list[int]:
        """Block sizes of the cache that the kernels take."""
        return [BLOCK_SIZE]

    @classmethod
    def supported_kv_cache_layouts(cls) -> tuple[KVCacheLayout, ...]:
        """Layouts in which a layer's cache is one dense run of memory."""
        return (KVCacheLayout.LBHNC,)
