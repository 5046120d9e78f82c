# SPDX-License-Identifier: Apache-2.0
"""Requests of a batch, cut into pieces that are short enough for a kernel."""

from collections.abc import Sequence

__all__ = ["in_pieces"]


def in_pieces(
    query_ends: Sequence[int], kv_lengths: Sequence[int], most_queries: int
) -> tuple[list[int], list[int], list[int]]:
    """Cut requests of more queries than a kernel takes.

    A piece is a request to the kernel: its queries see the keys up to the last of them.

    Parameters
    ----------
    query_ends
        Where the queries of each request end.
    kv_lengths
        How many keys the last query of each request sees.
    most_queries
        How many queries a piece has at most.

    Returns
    -------
    tuple
        Of the pieces: where their queries end, how many keys their last queries see, and the number
        of the request that each is of.
    """
    ends: list[int] = []
    lengths: list[int] = []
    requests: list[int] = []
    start = 0
    for request, (end, length) in enumerate(zip(query_ends, kv_lengths, strict=True)):
        for piece_end in (*range(start + most_queries, end, most_queries), end):
            ends.append(piece_end)
            lengths.append(length - (end - piece_end))
            requests.append(request)
        start = end
    return ends, lengths, requests
