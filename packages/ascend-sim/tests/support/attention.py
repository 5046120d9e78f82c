# SPDX-License-Identifier: Apache-2.0
"""Attention written out: softmax(scale q k^T) v of one sequence, and what tests need around it."""

import torch
import torch_npu

from support.oracle import to_npu, values

__all__ = [
    "ARRANGE",
    "TRIANGLE",
    "assert_near",
    "attend",
    "hidden",
    "over_pages",
    "paged",
    "rows_of",
]

_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}

ARRANGE = {
    "BSH": lambda t: t.flatten(2),
    "BSND": lambda t: t,
    "BNSD": lambda t: t.transpose(1, 2),
    "NBSD": lambda t: t.permute(2, 0, 1, 3),
    "TND": lambda t: t.flatten(0, 1),
    "NTD": lambda t: t.flatten(0, 1).transpose(0, 1),
}
"""From [batch, token, head, size] to a layout."""

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


def over_pages(
    queries,
    keys,
    *,
    heads=(4, 2),
    size=16,
    block=16,
    dtype=torch.float32,
    mode=3,
    window=(None, None),
    sink=None,
    arrange=lambda cache: cache.flatten(2),
):
    """Attend packed queries over pages; return what came and what should, each with log-sum-exps.

    Parameters
    ----------
    queries, keys
        Tokens of each sequence.
    mode, window
        The sparse mode, and with mode 4 the tokens before and after.
    sink
        See `attend`; only the second version of the operator takes it, and gives no log-sum-exp.
    arrange
        Makes the pages that the operator gets of caches [blocks, block, heads, size].
    """
    n, kv = heads
    key, value, table = paged(keys, block, (kv, size), (kv, size), dtype=dtype)
    query = values(sum(queries), n, size, dtype=dtype)
    ends = torch.tensor(queries).cumsum(0).tolist()
    arguments = {
        "atten_mask": TRIANGLE.npu(),
        "block_table": table.npu(),
        "block_size": block,
        "num_key_value_heads": kv,
        "input_layout": "TND",
        "sparse_mode": mode,
    }
    if mode == 4:
        arguments |= {"pre_tokens": window[0], "next_tokens": window[1]}
    tensors = (query.npu(), to_npu(arrange(key)), to_npu(arrange(value)))
    if sink is None:
        actual = torch_npu.npu_fused_infer_attention_score(
            *tensors,
            num_heads=n,
            scale=0.125,
            actual_seq_lengths=ends,
            actual_seq_lengths_kv=keys,
            softmax_lse_flag=True,
            **arguments,
        )
    else:
        actual = torch_npu.npu_fused_infer_attention_score_v2(
            *tensors,
            num_query_heads=n,
            softmax_scale=0.125,
            actual_seq_qlen=ends,
            actual_seq_kvlen=keys,
            learnable_sink=sink.npu(),
            **arguments,
        )
    expected = [
        attend(
            q,
            rows_of(key, table[i], keys[i]),
            rows_of(value, table[i], keys[i]),
            hidden(queries[i], keys[i], mode, *window),
            sink=sink,
        )
        for i, q in enumerate(query.split(queries))
    ]
    return actual, tuple(map(torch.cat, zip(*expected, strict=True)))


def assert_near(actual, expected):
    """Compare up to the rounding of the result's dtype."""
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)
