# SPDX-License-Identifier: Apache-2.0
"""Which keys a query of `npu_fused_infer_attention_score` sees: causal attention, and windows."""

from functools import cache

import torch

__all__ = ["CAUSAL_FROM_THE_RIGHT", "causal_mask", "visible_keys"]

CAUSAL_FROM_THE_RIGHT = 3
"""sparse_mode: causal, with the last query aligned to the last key. Right for chunked prefill."""

_BAND_FROM_THE_RIGHT = 4
"""sparse_mode: aligned likewise; from `pre_tokens` before a query to `next_tokens` after it."""

_CAUSAL_MASK_SIZE = 2048
"""Side of the mask that the kernel tiles itself in both modes (documented, fixed)."""


def visible_keys(sliding_window: int | None) -> dict[str, int]:
    """Say in the kernel's arguments which keys a query sees.

    Parameters
    ----------
    sliding_window
        How many tokens a query sees, its own included, as vLLM and transformers count; None for all
        before it.
    """
    if sliding_window is None:
        return {"sparse_mode": CAUSAL_FROM_THE_RIGHT}
    return {"sparse_mode": _BAND_FROM_THE_RIGHT, "pre_tokens": sliding_window - 1, "next_tokens": 0}


@cache
def causal_mask(device: torch.device) -> torch.Tensor:
    """Make the mask that both sparse modes want, once per device; True is masked.

    Returns
    -------
    torch.Tensor
        ``[2048, 2048]``, bool, on `device`. Shared by all layers: not to be written.
    """
    size = (_CAUSAL_MASK_SIZE, _CAUSAL_MASK_SIZE)
    return torch.ones(size, dtype=torch.bool).triu_(1).to(device)
