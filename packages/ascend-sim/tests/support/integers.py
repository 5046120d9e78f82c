# SPDX-License-Identifier: Apache-2.0
"""References for quantized numbers: integers, and the formulas that make them."""

import torch

__all__ = ["dynamic", "fp19", "int4", "int8", "packed_int4", "product", "rounded"]


def int8(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return all of int8's numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-128, 128, shape, generator=generator).to(torch.int8)


def int4(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return all of int4's numbers, in int8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-8, 8, shape, generator=generator).to(torch.int8)


def packed_int4(matrix: torch.Tensor) -> torch.Tensor:
    """Pack eight int4 of a row into one int32, the first in the lowest bits."""
    places = (matrix.long() & 0xF).unflatten(-1, (-1, 8)) << torch.arange(0, 32, 4)
    total = places.sum(-1)
    return torch.where(total >= 2**31, total - 2**32, total).int()


def product(x1: torch.Tensor, x2: torch.Tensor) -> torch.Tensor:
    """Return the exact product of integers."""
    return x1.long() @ x2.long()


def fp19(scale: torch.Tensor) -> torch.Tensor:
    """Return the upper 19 bits of float32: what a packed scale keeps of it."""
    return (scale.view(torch.int32) & -8192).view(torch.float32)


def rounded(values: torch.Tensor) -> torch.Tensor:
    """Round half to even, saturate to int8."""
    return values.round().clamp(-128, 127).to(torch.int8)


def dynamic(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize rows: scale = max |row| / 127."""
    scale = values.float().abs().amax(-1) / 127
    return rounded(values.float() / scale.unsqueeze(-1)), scale
