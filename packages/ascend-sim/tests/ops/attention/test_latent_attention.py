# SPDX-License-Identifier: Apache-2.0
"""Multi-head latent attention: queries and keys in two parts, one latent key for all heads."""

import pytest
import torch
import torch_npu
from support.attention import ARRANGE, TRIANGLE, assert_near, attend, hidden, paged, rows_of
from support.oracle import values

pytestmark = pytest.mark.device_limits("off")  # fp32, small sizes

BLOCK = 16
SCALE = 0.125
HEADS, LATENT, ROPE = 8, 32, 16


def _pages(cache, layout):
    """Arrange pages [blocks, BLOCK, 1, size] as the operator takes them."""
    if layout == "tokens first":
        return cache.flatten(2).npu()
    heads_first = cache.transpose(1, 2).contiguous()
    if layout == "heads first":
        return heads_first.npu()
    return heads_first.unflatten(3, (-1, 16)).transpose(2, 3).contiguous().npu()


@pytest.mark.parametrize("pages", ["tokens first", "heads first", "fractal"])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize(
    "layout", ["BSH", "BSND", "BNSD", "BNSD_NBSD", "BSND_NBSD", "BSH_NBSD", "TND", "TND_NTD"]
)
def test_absorbed_attention_over_pages(layout, queries, pages):
    """The latent rows are the values, and with the rotated rows the keys; as in a decode step."""
    keys = [20, 50]
    latent, rope, table = paged(keys, BLOCK, (1, LATENT), (1, ROPE))
    query = values(2, queries, HEADS, LATENT + ROPE)
    source, target = (layout.split("_") * 2)[:2]
    split = [
        ARRANGE[source](part).contiguous().npu() for part in query.split([LATENT, ROPE], dim=-1)
    ]
    arguments = {"actual_seq_kvlen": keys}
    if source == "TND":
        arguments["actual_seq_qlen"] = [queries, 2 * queries]
    latent_pages, rope_pages = _pages(latent, pages), _pages(rope, pages)
    actual, _ = torch_npu.npu_fused_infer_attention_score_v2(
        split[0],
        latent_pages,
        latent_pages,
        query_rope=split[1],
        key_rope=rope_pages,
        atten_mask=TRIANGLE.npu() if queries > 1 else None,
        sparse_mode=3 if queries > 1 else 0,
        block_table=table.npu(),
        block_size=BLOCK,
        num_query_heads=HEADS,
        num_key_value_heads=1,
        softmax_scale=SCALE,
        input_layout=layout,
        **arguments,
    )
    expected = []
    for i, length in enumerate(keys):
        value = rows_of(latent, table[i], length)
        key = torch.cat([value, rows_of(rope, table[i], length)], -1)
        expected.append(attend(query[i], key, value, hidden(queries, length, 3))[0])
    assert_near(actual, ARRANGE[target](torch.stack(expected)))


@pytest.mark.parametrize("queries", [2, 40])
def test_prefill_with_a_rope(queries):
    """Keys have their own heads, and values no rope."""
    query, key = values(queries, 4, 48), values(50, 4, 48, seed=1)
    value = values(50, 4, 32, seed=2)
    (q, q_rope), (k, k_rope) = (t.split([32, 16], dim=-1) for t in (query, key))
    actual, lse = torch_npu.npu_fused_infer_attention_score(
        *(t.contiguous().npu() for t in (q, k, value)),
        query_rope=q_rope.contiguous().npu(),
        key_rope=k_rope.contiguous().npu(),
        atten_mask=TRIANGLE.npu(),
        sparse_mode=3,
        actual_seq_lengths=[queries],
        actual_seq_lengths_kv=[50],
        num_heads=4,
        scale=SCALE,
        input_layout="TND",
        softmax_lse_flag=True,
    )
    expected, expected_lse = attend(query, key, value, hidden(queries, 50, 3))
    assert_near(actual, expected)
    assert_near(lse.squeeze(-1), expected_lse)


def test_a_replay_attends_to_what_the_caches_hold_then():
    latent, rope, table = paged([20], BLOCK, (1, LATENT), (1, ROPE))
    caches = [_pages(cache, "heads first") for cache in (latent, rope)]
    query = values(1, 1, HEADS, LATENT + ROPE)
    split = [part.contiguous().npu() for part in query.split([LATENT, ROPE], dim=-1)]
    blocks, graph = table.npu(), torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        actual, _ = torch_npu.npu_fused_infer_attention_score_v2(
            split[0],
            caches[0],
            caches[0],
            query_rope=split[1],
            key_rope=caches[1],
            block_table=blocks,
            block_size=BLOCK,
            actual_seq_kvlen=[20],
            num_query_heads=HEADS,
            num_key_value_heads=1,
            softmax_scale=SCALE,
            input_layout="BSND",
        )
    for tensor in (*caches, *split):
        tensor.mul_(-0.5)
    graph.replay()
    value = -0.5 * rows_of(latent, table[0], 20)
    key = torch.cat([value, -0.5 * rows_of(rope, table[0], 20)], -1)
    assert_near(actual[0], attend(-0.5 * query[0], key, value, hidden(1, 20, 0))[0])
