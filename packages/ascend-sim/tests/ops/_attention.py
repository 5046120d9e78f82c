# SPDX-License-Identifier: Apache-2.0
"""Attention written out: softmax(scale q k^T) v of one sequence, and what tests need around it."""

import torch
from _oracle import values

__all__ = ["TRIANGLE", "assert_near", "attend", "hidden", "paged", "rows_of"]

_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}

TRIANGLE = torch.ones(2048, 2048, dtype=torch.bool).triu(1)
"""The mask that sparse modes 2, 3 and 4 take."""


def attend(q, k, v, masked, scale=0.125, sink=None):
    """Attend q [S, N, D] to k, v [L, NKV, D]; return the result and the log-sum-exp [S, N].

    Parameters
    ----------
    masked
        [S, L]; true hides a key.
    sink
        [N]: one more score for every query, which has no value.
    """
    group = q.size(1) // k.size(1)
    k, v = k.float().repeat_interleave(group, 1), v.float().repeat_interleave(group, 1)
    scores = torch.einsum("qnd,knd->nqk", q.float(), k) * scale
    scores = scores.masked_fill(masked, -torch.inf)
    lse = scores.logsumexp(-1).t()
    if sink is not None:
        column = sink.float().view(-1, 1, 1).expand(-1, q.size(0), 1)
        weights = torch.cat([scores, column], -1).softmax(-1)[..., :-1]
    else:
        weights = scores.softmax(-1)
    return torch.einsum("nqk,knd->qnd", weights, v), lse


def hidden(queries, keys, sparse_mode, before=None, after=None):
    """Make the mask [queries, keys] of a sparse mode, as the documentation draws it."""
    own = torch.arange(queries).unsqueeze(1) + (keys - queries if sparse_mode in (3, 4) else 0)
    key = torch.arange(keys).unsqueeze(0)
    if sparse_mode == 0:
        return torch.zeros(queries, keys, dtype=torch.bool)
    if sparse_mode == 4:
        return (key < own - before) | (key > own + after)
    return key > own


def paged(lengths, block, *shapes, dtype=torch.float32):
    """Make caches [blocks, block, *shape], one per shape, in any order of blocks, and a table."""
    pages = [-(-length // block) for length in lengths]
    order = torch.randperm(sum(pages) + 2, generator=torch.Generator().manual_seed(3)).int()
    table = torch.zeros(len(lengths), max([1, *pages]) + 1, dtype=torch.int32)
    for row, count in enumerate(pages):
        table[row, :count] = order[sum(pages[:row]) :][:count]
    caches = [
        values(len(order), block, *shape, dtype=dtype, seed=seed)
        for seed, shape in enumerate(shapes, start=1)
    ]
    return *caches, table


def rows_of(cache, table, length):
    """Collect the tokens of a sequence from the blocks that a row of the table names."""
    return cache[table.long()].flatten(0, 1)[:length]


def assert_near(actual, expected):
    """Compare up to the rounding of the result's dtype."""
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)
