# SPDX-License-Identifier: Apache-2.0
"""Types of weights and activations."""

import torch
from ascend_core import Device, Feature

__all__ = ["DTYPES", "chip_dtypes"]

DTYPES = (torch.bfloat16, torch.float16, torch.float32)
"""Types that there are kernels for, the default one first."""


def chip_dtypes() -> list[torch.dtype]:
    """Return those of `DTYPES` that this process's chip has, the default one first."""
    has_bfloat16 = Device().supports(Feature.BFLOAT16)
    return [dtype for dtype in DTYPES if dtype != torch.bfloat16 or has_bfloat16]
