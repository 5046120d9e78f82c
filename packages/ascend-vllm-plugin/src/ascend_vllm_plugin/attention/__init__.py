# SPDX-License-Identifier: Apache-2.0
"""Attention on torch_npu's fused kernels, over a paged KV cache: grouped-query and latent."""

from ascend_vllm_plugin.attention.backend import NpuAttentionBackend
from ascend_vllm_plugin.attention.builder import NpuAttentionMetadataBuilder
from ascend_vllm_plugin.attention.impl import NpuAttentionImpl
from ascend_vllm_plugin.attention.metadata import NpuAttentionMetadata
from ascend_vllm_plugin.attention.probe import try_kernel, try_latent_kernel

__all__ = [
    "NpuAttentionBackend",
    "NpuAttentionImpl",
    "NpuAttentionMetadata",
    "NpuAttentionMetadataBuilder",
    "try_kernel",
    "try_latent_kernel",
]
