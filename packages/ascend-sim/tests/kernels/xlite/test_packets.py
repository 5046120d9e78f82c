# SPDX-License-Identifier: Apache-2.0
"""concat, concat_col and split."""

from typing import Any

import pytest
import torch
from acl_abi import Acl
from launcher import Kernels, u32, u64


def parts_of(rows: int, *widths: int) -> list[torch.Tensor]:
    """Return buffers of bytes [rows, width]."""
    return [
        torch.arange(rows * width).view(rows, width).to(torch.uint8) * (i + 3)
        for i, width in enumerate(widths)
    ]


def eight(buffers: list[torch.Tensor], sizes: list[int]) -> list[Any]:
    """Fill up to eight buffers, and their sizes."""
    rest = 8 - len(buffers)
    return [*buffers, *[None] * rest, *map(u64, sizes), *[u64(0)] * rest, u32(len(buffers))]


@pytest.mark.parametrize("widths", [(7,), (64, 3, 5), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_concat_puts_buffers_one_after_the_other(kernels: Kernels, widths) -> None:
    # given
    parts = parts_of(3, *widths)
    out = torch.zeros(3 * sum(widths), dtype=torch.uint8)
    # when
    kernels.run("concat", out, *eight(parts, [3 * w for w in widths]), u64(len(out)))
    # then
    assert torch.equal(out, torch.cat([part.flatten() for part in parts]))


@pytest.mark.parametrize("widths", [(7,), (64, 3, 5), (1, 2, 3, 4, 5, 6, 7, 8)])
def test_concat_col_puts_rows_side_by_side_and_split_takes_them_apart(
    kernels: Kernels, widths
) -> None:
    # given
    parts, width = parts_of(4, *widths), sum(widths)
    joined = torch.zeros(4, width, dtype=torch.uint8)
    again = [torch.zeros_like(part) for part in parts]
    # when
    kernels.run("concat_col", joined, *eight(parts, list(widths)), u32(4), u64(width))
    kernels.run("split", joined, *eight(again, list(widths)), u32(4), u64(width))
    # then
    assert torch.equal(joined, torch.cat(parts, 1))
    assert all(map(torch.equal, again, parts))


def test_a_total_that_is_not_the_sum_of_the_sizes_is_refused(kernels: Kernels, acl: Acl) -> None:
    # given
    parts, out = parts_of(1, 4, 5), torch.zeros(10, dtype=torch.uint8)
    # when
    code = kernels.attempt("concat", out, *eight(parts, [4, 5]), u64(10))
    # then
    assert code == 161002
    assert "sum of the sizes" in acl.message()


def test_nothing_is_copied_past_the_end_of_a_buffer(kernels: Kernels, acl: Acl) -> None:
    # given a size beyond the memory of the second buffer
    part, out = torch.zeros(64, dtype=torch.uint8), torch.zeros(1 << 22, dtype=torch.uint8)
    # when
    code = kernels.attempt("concat", out, *eight([part], [1 << 22]), u64(1 << 22))
    # then
    assert code == 507015
    assert "concat reads" in acl.message()
