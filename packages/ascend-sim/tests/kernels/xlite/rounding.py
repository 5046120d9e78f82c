# SPDX-License-Identifier: Apache-2.0
"""What a result may differ from the exact number by, when it is rounded once."""

import torch

__all__ = ["HALVES", "assert_rounded", "values"]

HALVES = [torch.bfloat16, torch.float16]


def values(*shape: int, dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> torch.Tensor:
    """Return normally distributed numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def assert_rounded(actual: torch.Tensor, exact: torch.Tensor, *, roundings: float = 1) -> None:
    """Check numbers against exact ones (float32 or float64).

    Half a unit in the last place of the dtype is allowed for each of ``roundings``, and what sums
    in float32 lose.
    """
    assert actual.shape == exact.shape
    half = torch.finfo(actual.dtype).eps / 2
    exact = exact.double()
    slack = 4e-6 * float(exact.abs().max().clamp(min=1.0)) + torch.finfo(actual.dtype).tiny
    torch.testing.assert_close(
        actual.double(), exact, rtol=half * roundings * 1.01, atol=slack * roundings
    )
