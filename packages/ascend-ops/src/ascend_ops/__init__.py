# SPDX-License-Identifier: Apache-2.0
"""Compiled ops for Ascend NPUs, registered under ``torch.ops.ascend`` by importing this package."""

from ascend_ops._attention_mask import CAUSAL_FROM_THE_RIGHT, causal_mask, visible_keys
from ascend_ops._errors import OperatorArgumentError
from ascend_ops._expert_choice import choose_experts
from ascend_ops._experts import apply_experts
from ascend_ops._key_spans import KeySpan, key_spans
from ascend_ops._latent_attention import attend_expanded, gather_latents
from ascend_ops._latent_shape import LatentShape
from ascend_ops._loader import ExtensionLoadError, load_extension
from ascend_ops._merged_attention import merge_attention
from ascend_ops._packed_attention import packed_attention
from ascend_ops._paged_cache import BLOCK_SIZE, CacheHalves, LatentCache
from ascend_ops._query_pieces import in_pieces
from ascend_ops._rank_rows import gather_rows, sum_and_scatter_rows
from ascend_ops._slot_mapping import slot_mapping
from ascend_ops._touched_memory import touched_memory
from ascend_ops._version import __version__

__all__ = [
    "BLOCK_SIZE",
    "CAUSAL_FROM_THE_RIGHT",
    "CacheHalves",
    "ExtensionLoadError",
    "KeySpan",
    "LatentCache",
    "LatentShape",
    "OperatorArgumentError",
    "__version__",
    "apply_experts",
    "attend_expanded",
    "causal_mask",
    "choose_experts",
    "gather_latents",
    "gather_rows",
    "in_pieces",
    "key_spans",
    "merge_attention",
    "packed_attention",
    "slot_mapping",
    "sum_and_scatter_rows",
    "touched_memory",
    "visible_keys",
]

load_extension()
