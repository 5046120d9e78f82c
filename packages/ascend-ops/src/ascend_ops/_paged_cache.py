# SPDX-License-Identifier: Apache-2.0
"""A layer's part of a paged KV cache, as the kernels take it."""

from dataclasses import dataclass
from typing import Self

import torch

__all__ = ["BLOCK_SIZE", "CacheHalves", "LatentCache"]

BLOCK_SIZE = 128
"""Tokens per block of the KV cache; the kernel documents multiples of 128 up to 512 for prefill."""


@dataclass(frozen=True, slots=True)
class CacheHalves:
    """A layer's cache as the kernels want it: keys and values as two dense tensors.

    A page of vLLM's holds K and V of a head side by side. The layer's bytes are one dense run, so
    its first half serves as keys and its second as values. Code that moves whole blocks would not
    know.

    Attributes
    ----------
    whole
        ``[blocks, kv_heads, block_size, 2 * head_size]``.
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


@dataclass(frozen=True, slots=True)
class LatentCache:
    """A layer's cache as the kernel wants it: latents and rotated parts as two dense tensors.

    A page holds both of a token side by side; the layer's bytes are divided as in `CacheHalves`.

    Attributes
    ----------
    whole
        ``[blocks, block_size, rank + rope]``.
    latents
        ``[blocks, block_size, rank]``.
    rotated
        ``[blocks, block_size, rope]``.
    """

    whole: torch.Tensor
    latents: torch.Tensor
    rotated: torch.Tensor

    @classmethod
    def of(cls, kv_cache: torch.Tensor, rank: int) -> Self:
        """View a layer's cache, of latents of `rank` elements."""
        blocks, block_size, size = kv_cache.shape
        flat, border = kv_cache.view(-1), blocks * block_size * rank
        return cls(
            kv_cache,
            flat[:border].view(blocks, block_size, rank),
            flat[border:].view(blocks, block_size, size - rank),
        )
