# SPDX-License-Identifier: Apache-2.0
"""Whether the kernels of the device take a model's attention: they are tried."""

import torch
import torch_npu
from ascend_ops import BLOCK_SIZE

from ascend_vllm_plugin.attention.impl import NpuAttentionImpl
from ascend_vllm_plugin.attention.latent import NpuLatentImpl
from ascend_vllm_plugin.attention.latent_batch import NpuLatentMetadata
from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata

__all__ = ["try_kernel", "try_latent_kernel"]


def try_kernel(num_heads: int, num_kv_heads: int, head_size: int, dtype: torch.dtype) -> None:
    """Attend to one token on the current device and wait for it.

    Raises
    ------
    RuntimeError
        If the kernel refuses these sizes or this type.
    """
    query, table = _token(num_heads, head_size, dtype)
    kv_cache = query.new_zeros(1, num_kv_heads, BLOCK_SIZE, 2 * head_size)
    attention = NpuAttentionImpl(num_heads, head_size, head_size**-0.5, num_kv_heads)
    attention._attend(
        query, kv_cache, NpuAttentionMetadata([1], [1], table, 1, 1), torch.empty_like(query)
    )
    torch_npu.npu.synchronize()


def try_latent_kernel(num_heads: int, rank: int, head_size: int, dtype: torch.dtype) -> None:
    """Attend to one latent on the current device and wait for it.

    Parameters
    ----------
    num_heads
        Of this rank.
    rank
        Elements of a latent.
    head_size
        The same, and what is rotated by position.
    dtype
        Of queries and cache.

    Raises
    ------
    RuntimeError
        If the kernel refuses these sizes or this type.
    """
    query, table = _token(num_heads, head_size, dtype)
    cache = query.new_zeros(1, BLOCK_SIZE, head_size)
    attention = NpuLatentImpl(num_heads, head_size, head_size**-0.5, 1, kv_lora_rank=rank)
    parts = query[..., :rank], query[..., rank:]
    attention.forward_mqa(parts, cache, NpuLatentMetadata([1], [1], table, 1, 1), None)
    torch_npu.npu.synchronize()


def _token(num_heads: int, head_size: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Query of one token, and the block table of its request, on the current device."""
    device = torch.device("npu", torch_npu.npu.current_device())
    query = torch.zeros(1, num_heads, head_size, dtype=dtype, device=device)
    return query, torch.zeros(1, 1, dtype=torch.int32, device=device)
