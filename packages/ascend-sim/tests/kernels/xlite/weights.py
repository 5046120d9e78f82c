# SPDX-License-Identifier: Apache-2.0
"""How the right-hand matrix of a product lies in memory."""

import torch
from launcher import u64

__all__ = ["TILES", "fractal", "stored"]

TILES = (u64(128), u64(256), u64(64))
"""What a device takes for m0, n0 and k0; without effect."""


def fractal(matrix: torch.Tensor) -> torch.Tensor:
    """Put a matrix into FRACTAL_NZ: blocks of 16 rows by 32 bytes."""
    columns = 32 // matrix.element_size()
    rows, width = matrix.shape
    padded = torch.nn.functional.pad(matrix, (0, -width % columns, 0, -rows % 16))
    blocks = padded.view(padded.size(0) // 16, 16, padded.size(1) // columns, columns)
    return blocks.permute(2, 0, 1, 3).contiguous()


def stored(weight: torch.Tensor, *, transposed: bool, nz: bool) -> torch.Tensor:
    """Lay out a weight [n, k] as a kernel is told."""
    matrix = weight.t().contiguous() if transposed else weight
    return fractal(matrix) if nz else matrix
