# SPDX-License-Identifier: Apache-2.0
"""The mask of causal attention."""

from functools import cache

import torch

__all__ = ["CAUSAL_FROM_THE_RIGHT", "causal_mask"]

CAUSAL_FROM_THE_RIGHT = 3
"""sparse_mode: causal, with the last query aligned to the last key. Right for chunked prefill."""


_CAUSAL_MASK_SIZE = 2048
"""Side of the mask that the kernel tiles itself when sparse_mode is 3 (documented, fixed)."""


@cache
def causal_mask(device: torch.device) -> torch.Tensor:
    """Make the mask that sparse_mode 3 wants, once per device; True is masked.

    Returns
    -------
    torch.Tensor
        ``[2048, 2048]``, bool, on `device`. Shared by all layers: not to be written.
    """
    size = (_CAUSAL_MASK_SIZE, _CAUSAL_MASK_SIZE)
    return torch.ones(size, dtype=torch.bool).triu_(1).to(device)
