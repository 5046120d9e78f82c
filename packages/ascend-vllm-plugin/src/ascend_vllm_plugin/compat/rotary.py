# SPDX-License-Identifier: Apache-2.0
"""The table of cosines and sines in vLLM's rotary embeddings."""

import torch
from vllm.model_executor.layers.rotary_embedding import RotaryEmbedding

__all__ = ["table_for"]


def table_for(layer: RotaryEmbedding, query: torch.Tensor) -> torch.Tensor:
    """Return a layer's table for `query`: ``[positions, rotary_dim]``, its device and dtype.

    Reason: vLLM converts the table once, in a private method.
    Goes when: that method is public, or the table has the dtype of the model from the start.
    """
    table: torch.Tensor = layer._match_cos_sin_cache_dtype(query)
    return table
