# SPDX-License-Identifier: Apache-2.0
"""Slot mapping: vLLM's V1 runner computes it in a Triton kernel, the one it cannot do without."""

import ascend_ops
import torch

__all__ = ["compute_slot_mapping"]


def compute_slot_mapping(
    num_tokens: int,  # noqa: ARG001
    max_num_tokens: int,
    query_start_loc_ptr: torch.Tensor,
    positions_ptr: torch.Tensor,
    block_table_ptr: torch.Tensor,
    block_table_stride: int,  # noqa: ARG001
    slot_mapping_ptr: torch.Tensor,
    KV_CACHE_BLOCK_SIZE: int,  # noqa: N803
    TOTAL_CP_WORLD_SIZE: int,  # noqa: ARG001, N803
    TOTAL_CP_RANK: int,  # noqa: ARG001, N803
    CP_KV_CACHE_INTERLEAVE_SIZE: int,  # noqa: ARG001, N803
    PAD_ID: int,  # noqa: N803
    BLOCK_SIZE: int,  # noqa: ARG001, N803
) -> None:
    """Stand in for ``ComputeSlotMappingKernel.kernel``.

    vLLM passes launch arguments by name if the names are the kernel's, so these are. Context
    parallelism, which four of them are about, is refused when the configuration is checked.
    """
    ascend_ops.slot_mapping(
        positions_ptr,
        query_start_loc_ptr,
        block_table_ptr,
        KV_CACHE_BLOCK_SIZE,
        slot_mapping_ptr[:max_num_tokens],
        pad_id=PAD_ID,
    )
