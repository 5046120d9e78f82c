# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for tensors: any shape, dtype, strides and offset.

Hypothesis draws the description of a tensor; its numbers come from a seed that it draws too, which
is far quicker than to draw them one by one.
"""

from collections.abc import Sequence

import torch
from hypothesis import strategies as st

__all__ = ["DOMAINS", "broadcastable", "shapes", "tensors"]

# Where the numbers of an operand lie, so that a function is defined there.
DOMAINS = {
    "any": lambda t: 2 * t,
    "positive": lambda t: t.abs() + 0.25,
    "unit": lambda t: t.clamp(-0.9, 0.9),
    "above one": lambda t: t.abs() + 1.25,
    "logical": lambda t: t > 0,
}


def shapes(least: int = 0, most: int = 4, side: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of `least` to `most` dimensions, now and then with one of size 0."""
    usual = st.lists(st.integers(1, side), min_size=least, max_size=most)
    empty = st.lists(st.integers(0, side), min_size=max(least, 1), max_size=most)
    return st.one_of(usual, usual, usual, empty).map(tuple)


@st.composite
def broadcastable(draw: st.DrawFn, count: int) -> list[tuple[int, ...]]:
    """`count` shapes that broadcast together."""
    shape = draw(shapes())
    result = []
    for _ in range(count):
        kept = shape[draw(st.integers(0, len(shape))) if draw(st.booleans()) else 0 :]
        result.append(tuple(1 if draw(st.integers(0, 4)) == 0 else size for size in kept))
    return result


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: Sequence[int],
    dtype: torch.dtype,
    domain: str = "any",
) -> torch.Tensor:
    """A tensor of `shape` somewhere in a larger storage, its dimensions in any order."""
    order = draw(st.permutations(range(len(shape)))) if draw(st.booleans()) else range(len(shape))
    steps = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in shape]
    offset = draw(st.integers(0, 3))
    strides, extent = [0] * len(shape), 1
    for i in reversed(order):
        strides[i] = extent * steps[i]
        extent *= max(shape[i], 1) * steps[i]
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    storage = _numbers(extent + offset, dtype, domain, generator)
    return storage.as_strided(tuple(shape), strides, offset)


def _numbers(
    count: int, dtype: torch.dtype, domain: str, generator: torch.Generator
) -> torch.Tensor:
    if dtype == torch.bool:
        return torch.randint(0, 2, (count,), generator=generator).bool()
    if not dtype.is_floating_point:
        lowest = 1 if domain in ("positive", "above one") else 0 if dtype == torch.uint8 else -9
        return torch.randint(lowest, 10, (count,), generator=generator).to(dtype)
    return DOMAINS[domain](torch.randn(count, generator=generator)).to(dtype)
