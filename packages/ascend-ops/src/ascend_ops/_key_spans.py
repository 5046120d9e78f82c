# SPDX-License-Identifier: Apache-2.0
"""Which keys of a batch are read at once, so that memory is bounded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from ascend_ops._errors import OperatorArgumentError
from ascend_ops._query_pieces import in_pieces

__all__ = ["KeySpan", "key_spans"]


@dataclass(frozen=True, slots=True)
class KeySpan:
    """Keys of a paged cache that are read at once, and the queries that attend to them.

    Attributes
    ----------
    rows
        Where the queries are.
    query_ends
        Per request, where its queries end, counted from the first of `rows`.
    key_ends
        Per request, where its keys end, counted from the first that is read.
    is_last
        The keys end with the last query's own, and a query sees those up to its own. Otherwise all
        keys are before all queries, and later spans have the rest.
    block_table
        ``[requests, blocks]``, int32, on the device: the blocks that hold the keys.
    lengths
        ``[requests]``, int32, on the device: how many keys of each request are read.
    """

    rows: slice
    query_ends: list[int]
    key_ends: list[int]
    is_last: bool
    block_table: torch.Tensor
    lengths: torch.Tensor


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some queries of a request, which see its keys up to the last of them."""

    request: int
    start: int
    end: int
    keys: int


def key_spans(
    query_ends: Sequence[int],
    kv_lengths: Sequence[int],
    block_table: torch.Tensor,
    block_size: int,
    most_keys: int,
) -> list[KeySpan]:
    """Divide the keys of a batch into spans of bounded size.

    Requests whose keys fit are read together. One with more keys is read in several spans, one
    after the other, of which the last has the keys of its own queries. If these are too many for
    that, the queries are divided first.

    Parameters
    ----------
    query_ends
        Where the queries of each request end. Requests without queries are left out.
    kv_lengths
        How many keys the last query of each request sees.
    block_table : Tensor of shape (>= requests, blocks)
        int32, on the device.
    block_size
        Tokens in a cache block.
    most_keys
        How many keys are read at once; at least two blocks.

    Returns
    -------
    list of KeySpan
        In the order of the queries, and of the keys of a request.

    Raises
    ------
    OperatorArgumentError
        `most_keys` is less than two blocks.
    """
    if most_keys < 2 * block_size:
        raise OperatorArgumentError(
            "key_spans", f"most_keys must be at least two blocks of {block_size}, not {most_keys}"
        )
    # One block less, for keys are read from the beginning of a block on.
    ends, lengths, requests = in_pieces(query_ends, kv_lengths, most_keys - block_size)
    pieces = [
        _Piece(request, start, end, keys)
        for request, start, end, keys in zip(requests, [0, *ends], ends, lengths, strict=False)
        if start < end
    ]
    spans = []
    for group in _groups(pieces, most_keys):
        keys = group[-1].keys
        # Where the last span begins: one piece may have more keys than are read at once.
        last = max(0, -(-(keys - most_keys) // block_size)) * block_size if len(group) == 1 else 0
        step = most_keys // block_size * block_size
        starts = [*range(0, last, step), last]
        for first, stop in zip(starts, [*starts[1:], None], strict=True):
            spans.append(_span(group, first, stop, block_table, block_size))
    return spans


def _groups(pieces: Sequence[_Piece], most_keys: int) -> Iterator[list[_Piece]]:
    """Put pieces together whose keys are read at once; one with more keys is alone."""
    group: list[_Piece] = []
    total = 0
    for piece in pieces:
        if group and total + piece.keys > most_keys:
            yield group
            group, total = [], 0
        group.append(piece)
        total += piece.keys
    if group:
        yield group


def _span(
    group: Sequence[_Piece],
    first: int,
    stop: int | None,
    block_table: torch.Tensor,
    block_size: int,
) -> KeySpan:
    """Read the keys from `first` on, the beginning of a block, up to `stop` or the last."""
    lengths = [(piece.keys if stop is None else stop) - first for piece in group]
    requests = [piece.request for piece in group]
    numbers = torch.tensor([requests, lengths], dtype=torch.int32).to(block_table.device)
    blocks = slice(first // block_size, -(-(first + max(lengths)) // block_size))
    start = group[0].start
    return KeySpan(
        slice(start, group[-1].end),
        [piece.end - start for piece in group],
        list(accumulate(lengths)),
        stop is None,
        block_table[:, blocks].index_select(0, numbers[0]),
        numbers[1],
    )
