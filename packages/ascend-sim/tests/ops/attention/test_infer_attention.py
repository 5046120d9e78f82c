# SPDX-License-Identifier: Apache-2.0
"""Attention of inference against softmax(scale q k^T) v written out, sequence by sequence."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.attention import TRIANGLE, assert_near, attend, hidden, over_pages, paged, rows_of
from support.oracle import FLOATS, values

pytestmark = pytest.mark.device_limits("off")  # fp32, small sizes

BLOCK = 16
SCALE = 0.125


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("heads", [(4, 4), (8, 2), (6, 1)], ids=str)
@pytest.mark.parametrize("pages", ["3-d", "4-d"])
@pytest.mark.parametrize(
    ("queries", "keys"),
    [([1, 1, 1], [1, 40, 16]), ([3, 70, 1], [3, 90, 33]), ([5, 2], [5, 200])],
    ids=["decode", "mixed", "chunked prefill"],
)
def test_packed_queries_over_pages(queries, keys, pages, heads, dtype):
    """Given TND queries, pages and sparse_mode 3, each query sees the keys up to its own."""
    arrange = (
        (lambda t: t.flatten(2)) if pages == "3-d" else (lambda t: t.transpose(1, 2).contiguous())
    )
    (actual, _), (expected, _) = over_pages(
        queries, keys, heads=heads, size=32, dtype=dtype, arrange=arrange
    )
    assert_near(actual, expected)


@pytest.mark.parametrize("layout", ["BSH", "BSND", "BNSD", "BNSD_BSND"])
@pytest.mark.parametrize("queries", [1, 4, 40])
@pytest.mark.parametrize("sparse_mode", [0, 2, 3])
def test_dense_layouts(layout, queries, sparse_mode):
    """Given dense keys, every layout gives the same attention; a single query sees every key."""
    batch, n, kv, size, keys = 2, 4, 2, 16, 48
    query, key, value = (
        values(batch, queries, n, size),
        values(batch, keys, kv, size, seed=1),
        values(batch, keys, kv, size, seed=2),
    )
    source, target = (layout.split("_") * 2)[:2]
    arrange = {
        "BSH": lambda t: t.flatten(2),
        "BSND": lambda t: t,
        "BNSD": lambda t: t.transpose(1, 2),
    }
    restore = {
        "BSH": lambda t: t.unflatten(2, (n, size)),
        "BSND": lambda t: t,
        "BNSD": lambda t: t.transpose(1, 2),
    }
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        *(arrange[source](t).contiguous().npu() for t in (query, key, value)),
        atten_mask=TRIANGLE.npu() if sparse_mode else None,
        num_heads=n,
        num_key_value_heads=kv,
        scale=SCALE,
        input_layout=layout,
        sparse_mode=sparse_mode,
    )
    masked = hidden(queries, keys, sparse_mode if queries > 1 else 0)
    expected = torch.stack([attend(query[i], key[i], value[i], masked)[0] for i in range(batch)])
    assert_near(restore[target](actual.cpu()), expected)


@pytest.mark.parametrize("queries", [4, 40])
def test_band_of_keys(queries):
    query, key, value = (
        values(1, queries, 2, 16),
        values(1, 48, 2, 16, seed=1),
        values(1, 48, 2, 16, seed=2),
    )
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        atten_mask=TRIANGLE.npu(),
        num_heads=2,
        scale=SCALE,
        input_layout="BSND",
        sparse_mode=4,
        pre_tokens=7,
        next_tokens=2,
    )
    expected, _ = attend(query[0], key[0], value[0], hidden(queries, 48, 4, before=7, after=2))
    assert_near(actual[0], expected)


@pytest.mark.parametrize("queries", [3, 40])
def test_explicit_mask_and_lengths(queries):
    """Given sparse_mode 0, the mask hides what it marks and lengths cut what is beyond them."""
    query, key, value = (
        values(2, queries, 2, 16),
        values(2, 48, 2, 16, seed=1),
        values(2, 48, 2, 16, seed=2),
    )
    mask = values(2, 1, queries, 48, seed=4) > 0
    mask[..., 0] = False
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        atten_mask=mask.npu(),
        num_heads=2,
        scale=SCALE,
        input_layout="BSND",
        actual_seq_lengths=[queries, queries - 1],
        actual_seq_lengths_kv=[48, 20],
    )
    whole, _ = attend(query[0], key[0], value[0], mask[0, 0])
    short, _ = attend(query[1, :-1], key[1, :20], value[1, :20], mask[1, 0, :-1, :20])
    assert_near(actual[0], whole)
    assert_near(actual[1, :-1], short)
    assert not actual[1, -1].cpu().any()


def test_lengths_of_single_queries_are_not_looked_at():
    """Given one query per sequence, actual_seq_lengths has no effect (torch_npu's own tests)."""
    query, key, value = (
        values(2, 1, 2, 16),
        values(2, 48, 2, 16, seed=1),
        values(2, 48, 2, 16, seed=2),
    )
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        num_heads=2,
        scale=SCALE,
        input_layout="BSND",
        actual_seq_lengths=[48, 20],
        actual_seq_lengths_kv=[48, 20],
    )
    for sequence, length in enumerate([48, 20]):
        all_seen = torch.zeros(1, length, dtype=torch.bool)
        expected, _ = attend(
            query[sequence], key[sequence, :length], value[sequence, :length], all_seen
        )
        assert_near(actual[sequence], expected)


@pytest.mark.parametrize("queries", [[1, 2], [40, 3]], ids=str)
def test_log_sum_exp_is_returned_on_request(queries):
    keys = [20, 50] if queries[0] == 1 else [40, 50]
    (_, actual), (_, expected) = over_pages(queries, keys)
    assert_near(actual.squeeze(-1), expected)


def test_padded_sequences_get_zeros_and_change_nothing():
    """Given a batch padded as in a graph, real rows keep their bits and padding is zero."""
    keys = [20, 50]
    key, value, table = paged(keys, BLOCK, (2, 16), (2, 16), dtype=torch.float32)
    query = values(4, 4, 16)

    def run(rows, ends, lengths):
        out, _ = torch_npu.npu_fused_infer_attention_score(
            query[:rows].npu(),
            key.flatten(2).npu(),
            value.flatten(2).npu(),
            atten_mask=TRIANGLE.npu(),
            actual_seq_lengths=ends,
            actual_seq_lengths_kv=lengths,
            num_heads=4,
            num_key_value_heads=2,
            block_table=torch.cat([table, torch.zeros_like(table)])[: len(ends)].contiguous().npu(),
            scale=SCALE,
            input_layout="TND",
            sparse_mode=3,
            block_size=BLOCK,
        )
        return out.cpu()

    padded = run(4, [1, 2, 3, 4], [*keys, 0, 0])
    assert torch.equal(padded[:2], run(2, [1, 2], keys))
    assert not padded[2:].any()


def test_second_version_of_the_operator_agrees():
    query, key, value = (
        values(2, 3, 4, 16),
        values(2, 9, 2, 16, seed=1),
        values(2, 9, 2, 16, seed=2),
    )
    arguments = {"input_layout": "BSND", "sparse_mode": 0}
    first, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        num_heads=4,
        num_key_value_heads=2,
        scale=SCALE,
        **arguments,
    )
    second, _ = torch_npu.npu_fused_infer_attention_score_v2(
        query.npu(),
        key.npu(),
        value.npu(),
        num_query_heads=4,
        num_key_value_heads=2,
        softmax_scale=SCALE,
        **arguments,
    )
    assert torch.equal(first.cpu(), second.cpu())


# What FusedInferAttentionScore takes before and after the attributes.
_MORE_OF_VERSION = {2: [], 5: [None] * 7}
_MODES_OF_VERSION = {2: [], 5: [0, 0]}


@pytest.mark.parametrize("version", [2, 5])
def test_other_versions_of_the_operator_attend_as_well(version):
    """Which version torch_npu calls depends on CANN and on the arguments."""
    keys, before, after = [9, 20], 3, 1
    key, value, table = paged(keys, BLOCK, (2, 16), (2, 16))
    query = values(2, 5, 4, 16)
    out, lse = torch.zeros(2, 5, 4, 16).npu(), torch.zeros(1).npu()
    pages = [[key.flatten(2).npu()], [value.flatten(2).npu()]]
    scales = [None] * 7
    prefixes_and_padding = [None] * 9
    call(
        f"aclnnFusedInferAttentionScoreV{version}",
        *(query.npu(), *pages, None, TRIANGLE.npu(), [5, 5], keys),
        *(*scales, table.npu(), *prefixes_and_padding, *_MORE_OF_VERSION[version]),
        *(4, SCALE, before, after, b"BSND", 2, 4, 0, BLOCK, 0, False, 0, 0),
        *(*_MODES_OF_VERSION[version], out, lse),
    )
    for i, length in enumerate(keys):
        masked = hidden(5, length, 4, before=before, after=after)
        k, v = (rows_of(cache, table[i], length) for cache in (key, value))
        assert_near(out[i], attend(query[i], k, v, masked)[0])
