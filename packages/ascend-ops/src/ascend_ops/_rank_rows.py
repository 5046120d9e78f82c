# SPDX-License-Identifier: Apache-2.0
"""Rows of a tensor over the ranks of a group, each of which has as many as it likes."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812

from ascend_ops._errors import OperatorArgumentError

__all__ = ["gather_rows", "sum_and_scatter_rows"]


def gather_rows(
    x: torch.Tensor, counts: Sequence[int], group: dist.ProcessGroup | None = None
) -> torch.Tensor:
    """Put the rows of all ranks one after the other.

    Parameters
    ----------
    x : Tensor of shape (counts[rank], ...)
        Rows of this rank, on its device.
    counts : sequence of int
        Rows of each rank: the same on all of them.
    group : ProcessGroup, optional
        By default all ranks.

    Returns
    -------
    Tensor of shape (sum(counts), ...)
        In the order of the ranks.

    Raises
    ------
    OperatorArgumentError
        If `counts` does not fit the group, or `x`.

    Notes
    -----
    Each rank sends as many rows as the rank that has most: HCCL's gathering of unequal parts is not
    on every chip, and not for graphs.
    """
    _check("gather_rows", x, counts, group)
    most = max(counts)
    gathered = x.new_empty((most * len(counts), *x.shape[1:]))
    dist.all_gather_into_tensor(gathered, _padded(x, most), group=group)
    if min(counts) == most:
        return gathered
    parts = torch.split(gathered, most)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def sum_and_scatter_rows(
    x: torch.Tensor, counts: Sequence[int], group: dist.ProcessGroup | None = None
) -> torch.Tensor:
    """Add up the tensors of all ranks, and give each rank its rows of the sum.

    Parameters
    ----------
    x : Tensor of shape (sum(counts), ...)
        This rank's part of the sum, on its device.
    counts : sequence of int
        Rows that each rank gets: the same on all of them.
    group : ProcessGroup, optional
        By default all ranks.

    Returns
    -------
    Tensor of shape (counts[rank], ...)
        The sum of the rows that `gather_rows` would take from this rank.

    Raises
    ------
    OperatorArgumentError
        If `counts` does not fit the group, or `x`.
    """
    _check("sum_and_scatter_rows", x, counts, group, all_rows=True)
    most = max(counts)
    if min(counts) != most:
        x = torch.cat([_padded(part, most) for part in torch.split(x, list(counts))])
    total = x.new_empty((most, *x.shape[1:]))
    dist.reduce_scatter_tensor(total, x.contiguous(), group=group)
    return total[: counts[dist.get_rank(group)]]


def _padded(x: torch.Tensor, rows: int) -> torch.Tensor:
    """Return `x` with rows of zeros behind its own."""
    return F.pad(x, (*(0, 0) * (x.dim() - 1), 0, rows - x.shape[0])).contiguous()


def _check(
    name: str,
    x: torch.Tensor,
    counts: Sequence[int],
    group: dist.ProcessGroup | None,
    *,
    all_rows: bool = False,
) -> None:
    ranks = dist.get_world_size(group)
    if len(counts) != ranks or min(counts) < 0:
        raise OperatorArgumentError(name, f"counts must be rows of {ranks} ranks: {list(counts)}")
    expected = sum(counts) if all_rows else counts[dist.get_rank(group)]
    if not x.dim() or x.shape[0] != expected:
        raise OperatorArgumentError(name, f"x must have {expected} rows: {tuple(x.shape)}")
