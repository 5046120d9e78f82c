# SPDX-License-Identifier: Apache-2.0
"""Attention of one layer, on torch_npu's fused kernels.

The kernel takes the lengths of the requests as host lists. In a captured graph these are fixed, so
in FULL mode the call is recorded as *updatable*: every replay carries the lengths of its step
(`NpuAttentionMetadata.lengths`), see `ascend_aclgraph.updatable`.
"""

from typing import Any

import torch
import torch_npu
from ascend_ops import CacheHalves, causal_mask, visible_keys
from vllm.v1.attention.backend import AttentionImpl, AttentionType

from ascend_vllm_plugin.attention.kernel import attend
from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata
from ascend_vllm_plugin.capabilities import refuse_needs

__all__ = ["NpuAttentionImpl"]


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
        kv_sharing_target_layer_name: str | None = None,  # noqa: ARG002
        sinks: torch.Tensor | None = None,
    ) -> None:
        refuse_needs(
            {
                "ALiBi slopes": alibi_slopes is not None,
                "a soft cap on logits": bool(logits_soft_cap),
                "attention sinks": sinks is not None,
                f"attention of type {attn_type!r}": attn_type != AttentionType.DECODER,
                f"a KV cache of type {kv_cache_dtype!r}": kv_cache_dtype != "auto",
            }
        )
        self.num_heads = num_heads
        self.head_size = head_size
        self.scale = scale
        self.num_kv_heads = num_kv_heads or num_heads
        self.kv_cache_dtype = kv_cache_dtype
        self._visible_keys = visible_keys(sliding_window)
        self._cache: CacheHalves | None = None

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
        layer: torch.nn.Module | None,
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
        layer
            Names the record of updates in a graph; None where attention is tried alone.
        key, value, output_scale, output_block_scale
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
        name = getattr(layer, "layer_name", None)
        self._attend(query[:rows], kv_cache, attn_metadata, output[:rows], name)
        return output

    def _attend(
        self,
        query: torch.Tensor,
        kv_cache: torch.Tensor,
        metadata: NpuAttentionMetadata,
        output: torch.Tensor,
        name: str | None = None,
    ) -> None:
        cache = self._halves(kv_cache)
        arguments: dict[str, Any] = {
            "query": query.contiguous(),
            "key": cache.flat_keys,
            "value": cache.flat_values,
            "atten_mask": causal_mask(query.device),
            "block_table": metadata.block_table,
            "input_layout": "TND",
            "block_size": cache.keys.shape[1],
            "num_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "scale": self.scale,
            **self._visible_keys,
        }
        attend(arguments, metadata.lengths, output, name)

    def _halves(self, kv_cache: torch.Tensor) -> CacheHalves:
        """View the layer's cache as keys and values.

        The views are made once per cache: in eager attention they would be a tenth of the host's
        time for a layer.
        """
        if self._cache is None or self._cache.whole is not kv_cache:
            self._cache = CacheHalves.of(kv_cache, self.head_size)
        return self._cache
