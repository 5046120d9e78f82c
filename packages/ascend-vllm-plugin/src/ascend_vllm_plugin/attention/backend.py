# SPDX-License-Identifier: Apache-2.0
"""What vLLM asks about attention on this platform."""

from typing import Any, ClassVar

import torch
from ascend_ops import BLOCK_SIZE
from vllm.v1.attention.backend import AttentionBackend
from vllm.v1.kv_cache_interface import KVCacheLayout

from ascend_vllm_plugin.attention.builder import NpuAttentionMetadataBuilder
from ascend_vllm_plugin.attention.impl import NpuAttentionImpl
from ascend_vllm_plugin.dtypes import DTYPES

__all__ = ["NpuAttentionBackend"]


class NpuAttentionBackend(AttentionBackend):
    """What vLLM asks about attention on this platform."""

    forward_includes_kv_cache_update = False
    supported_dtypes: ClassVar[list[torch.dtype]] = list(DTYPES)
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
