# SPDX-License-Identifier: Apache-2.0
"""Multi-head latent attention (MLA), on torch_npu's fused kernel over a paged cache of latents.

The cache has one vector per token for all heads: a latent, from which keys and values are made, and
a part that is rotated by position. vLLM's layer multiplies queries into the space of latents and
results out of it (the absorbed form), so that the kernel attends to latents as they are cached.
Requests of many queries attend to keys and values that are made of the latents for all heads, span
by span: attention then takes fewer multiplications, by more than making them takes.
"""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from ascend_ops import CAUSAL_FROM_THE_RIGHT, LatentCache, attend_expanded, causal_mask
from vllm.v1.attention.backend import AttentionType, MLAAttentionImpl

from ascend_vllm_plugin.attention.backend import NpuAttentionBackend
from ascend_vllm_plugin.attention.kernel import attend
from ascend_vllm_plugin.attention.latent_batch import NpuLatentMetadata, NpuLatentMetadataBuilder
from ascend_vllm_plugin.capabilities import refuse_needs

__all__ = ["LatentPrefill", "NpuLatentBackend", "NpuLatentImpl"]


class NpuLatentBackend(NpuAttentionBackend):
    """What vLLM asks about latent attention on this platform."""

    @staticmethod
    def get_impl_cls() -> type["NpuLatentImpl"]:
        """Class of a layer's attention."""
        return NpuLatentImpl

    @staticmethod
    def get_builder_cls() -> type[NpuLatentMetadataBuilder]:
        """Class that makes a step's metadata."""
        return NpuLatentMetadataBuilder

    @classmethod
    def is_mla(cls) -> bool:
        """Say that the cache holds latents."""
        return True


class LatentPrefill:
    """Stands where vLLM wants a backend for prompts: `NpuLatentImpl` attends to them as well."""

    def __init__(self, **sizes: Any) -> None:
        """Take the sizes that vLLM gives, which are not used."""

    @staticmethod
    def get_name() -> str:
        """Name in vLLM's log."""
        return "latent"


class NpuLatentImpl(MLAAttentionImpl[NpuLatentMetadata]):
    """Latent attention of one layer. What it does not support is refused here, by name."""

    is_sparse = False
    supports_quant_query_input = False

    def __init__(
        self,
        num_heads: int,
        head_size: int,
        scale: float,
        num_kv_heads: int,
        alibi_slopes: list[float] | None = None,
        sliding_window: int | None = None,
        kv_cache_dtype: str = "auto",
        logits_soft_cap: float | None = None,
        attn_type: str = AttentionType.DECODER,
        kv_sharing_target_layer_name: str | None = None,
        *,
        kv_lora_rank: int,
        kv_b_proj: Any = None,  # vLLM gives it; attention to latents does without
        indexer: object | None = None,
        **sizes: Any,  # noqa: ARG002
    ) -> None:
        refuse_needs(
            {
                "ALiBi slopes": alibi_slopes is not None,
                "a sliding window": sliding_window is not None,
                "a soft cap on logits": bool(logits_soft_cap),
                "a KV cache shared between layers": kv_sharing_target_layer_name is not None,
                "sparse attention": indexer is not None,
                f"attention of type {attn_type!r}": attn_type != AttentionType.DECODER,
                f"a KV cache of type {kv_cache_dtype!r}": kv_cache_dtype != "auto",
            }
        )
        self.num_heads = num_heads
        self.head_size = head_size
        self.scale = scale
        self.num_kv_heads = num_kv_heads
        self.kv_cache_dtype = kv_cache_dtype
        self._rank = kv_lora_rank
        self._kv_b_proj = kv_b_proj
        # The kernel takes powers of two: heads of zeros are added, and their results dropped.
        self._kernel_heads = 1 << (num_heads - 1).bit_length()
        self._cache: LatentCache | None = None

    def do_kv_cache_update(
        self,
        kv_c_normed: torch.Tensor,
        k_pe: torch.Tensor,
        kv_cache: torch.Tensor,
        slot_mapping: torch.Tensor,
        *_options: Any,
    ) -> None:
        """Write latents and rotated parts into the cache.

        Parameters
        ----------
        kv_c_normed
            ``[tokens, rank]``.
        k_pe
            ``[tokens, 1, rope]``.
        kv_cache
            This layer's part of vLLM's cache; empty while vLLM measures memory.
        slot_mapping
            ``[tokens]``, int64; negative for padding, which is not written.
        """
        if not kv_cache.numel():
            return
        cache = self._parts(kv_cache)
        torch_npu.npu_scatter_pa_kv_cache(
            kv_c_normed.unsqueeze(1).contiguous(),
            k_pe.contiguous(),
            cache.latents.unsqueeze(2),
            cache.rotated.unsqueeze(2),
            slot_mapping,
            cache_mode="Norm",
        )

    def forward_mqa(
        self,
        q: tuple[torch.Tensor, torch.Tensor],
        kv_c_and_k_pe_cache: torch.Tensor,
        attn_metadata: NpuLatentMetadata,
        layer: Any,
    ) -> tuple[torch.Tensor, None]:
        """Attend to the latents in the cache.

        Parameters
        ----------
        q
            Queries in the space of latents, ``[tokens, heads, rank]``, and their rotated parts,
            ``[tokens, heads, rope]``, padding included.
        kv_c_and_k_pe_cache
            This layer's part of vLLM's cache, this step's tokens included.
        attn_metadata
            Of the step.
        layer
            Names the record of updates in a graph.

        Returns
        -------
        torch.Tensor
            ``[tokens, heads, rank]``. Padding rows are zeros: they reach the next layer, whose
            experts are chosen for them, too.
        None
            No log-sum-exp.
        """
        latent, rotated = q
        rows = attn_metadata.query_ends[-1]
        output = torch.empty_like(latent)
        if rows < output.shape[0]:  # PIECEWISE: the pieces are padded, attention is not
            output[rows:].zero_()
        cache, name = self._parts(kv_c_and_k_pe_cache), getattr(layer, "layer_name", None)
        extra = self._kernel_heads - self.num_heads
        if not extra:
            self._attend(latent[:rows], rotated[:rows], cache, attn_metadata, output[:rows], name)
            return output, None
        latent, rotated = (F.pad(part[:rows], (0, 0, 0, extra)) for part in q)
        result = torch.empty_like(latent)
        self._attend(latent, rotated, cache, attn_metadata, result, name)
        output[:rows] = result[:, : self.num_heads]
        return output, None

    def forward_mha(
        self,
        q: torch.Tensor,
        kv_c_normed: torch.Tensor,  # noqa: ARG002
        k_pe: torch.Tensor,  # noqa: ARG002
        kv_c_and_k_pe_cache: torch.Tensor,
        attn_metadata: NpuLatentMetadata,
        k_scale: torch.Tensor,  # noqa: ARG002
        output: torch.Tensor,
        output_scale: torch.Tensor | None = None,  # noqa: ARG002
    ) -> None:
        """Attend to keys and values made of the latents in the cache.

        Parameters
        ----------
        q
            ``[tokens, heads, plain + rope]``, padding included.
        kv_c_normed, k_pe, k_scale, output_scale
            Not used; vLLM's interface has them.
        kv_c_and_k_pe_cache
            This layer's part of vLLM's cache, this step's tokens included.
        attn_metadata
            Of the step.
        output
            ``[tokens, heads * value]``; is written. Padding rows are zeros.
        """
        rows = attn_metadata.spans[-1].rows.stop
        output[rows:].zero_()
        attend_expanded(
            q[:rows],
            self._parts(kv_c_and_k_pe_cache),
            lambda latents: self._kv_b_proj(latents)[0],
            attn_metadata.spans,
            self.scale,
            output[:rows].view(rows, self.num_heads, -1),
        )

    def _attend(
        self,
        latent: torch.Tensor,
        rotated: torch.Tensor,
        cache: LatentCache,
        metadata: NpuLatentMetadata,
        output: torch.Tensor,
        name: str | None,
    ) -> None:
        arguments: dict[str, Any] = {
            "query": latent.contiguous(),
            "key": cache.latents,
            "value": cache.latents,
            "query_rope": rotated.contiguous(),
            "key_rope": cache.rotated,
            "atten_mask": causal_mask(latent.device),
            "block_table": metadata.block_table,
            "input_layout": "TND",
            "block_size": cache.latents.shape[1],
            "num_heads": self._kernel_heads,
            "num_key_value_heads": 1,
            "scale": self.scale,
            "sparse_mode": CAUSAL_FROM_THE_RIGHT,
        }
        attend(arguments, metadata.lengths, output, name)

    def _parts(self, kv_cache: torch.Tensor) -> LatentCache:
        """View the layer's cache in its two parts; the views are made once per cache."""
        if self._cache is None or self._cache.whole is not kv_cache:
            self._cache = LatentCache.of(kv_cache, self._rank)
        return self._cache
