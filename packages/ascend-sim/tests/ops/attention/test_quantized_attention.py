# SPDX-License-Identifier: Apache-2.0
"""Latent attention of int8 queries to an int8 cache (npu_fused_infer_attention_score_v2.md)."""

import pytest
import torch
import torch_npu
from support.attention import ARRANGE, TRIANGLE, attend, hidden, paged, rows_of
from support.integers import int8
from support.oracle import run_and_wait, values

BLOCK, HEADS, LATENT, ROPE = 16, 4, 512, 64
KEYS = [20, 50]
SCALE = 0.05
BF16 = torch.bfloat16


class Caches:
    """A cache of latent rows and one of ropes, and a table of their blocks."""

    def __init__(self) -> None:
        latent, self.rope, self.table = paged(KEYS, BLOCK, (1, LATENT), (1, ROPE))
        self.latent, self.rope = int8(*latent.shape), self.rope.to(BF16)
        self.scale = torch.tensor([0.0078125])

    def pages(self, fractal):
        """Arrange both as [blocks, 1, BLOCK, size], or in the blocks of FRACTAL_NZ."""
        heads_first = [cache.transpose(1, 2).contiguous() for cache in (self.latent, self.rope)]
        if not fractal:
            return [cache.npu() for cache in heads_first]
        return [
            cache.unflatten(3, (-1, c0)).transpose(2, 3).contiguous().npu()
            for cache, c0 in zip(heads_first, (32, 16), strict=True)
        ]


def _arguments(caches, query, scales, q_rope, layout, *, fractal=False):
    queries, source = query.size(1), layout.partition("_")[0]
    latent, rope = caches.pages(fractal)
    arguments = {
        "query": ARRANGE[source](query).contiguous().npu(),
        "key": latent,
        "value": latent,
        "query_rope": ARRANGE[source](q_rope).contiguous().npu(),
        "key_rope": rope,
        "dequant_scale_query": ARRANGE[source](scales).contiguous().npu(),
        "dequant_scale_key": caches.scale.npu(),
        "dequant_scale_value": caches.scale.npu(),
        "query_quant_mode": 3,
        "atten_mask": TRIANGLE.npu() if queries > 1 else None,
        "sparse_mode": 3 if queries > 1 else 0,
        "block_table": caches.table.npu(),
        "block_size": BLOCK,
        "num_query_heads": HEADS,
        "num_key_value_heads": 1,
        "softmax_scale": SCALE,
        "input_layout": layout,
        "actual_seq_kvlen": KEYS,
    }
    if source == "TND":
        arguments["actual_seq_qlen"] = [queries, 2 * queries]
    return arguments


def _operands(queries):
    query = int8(2, queries, HEADS, LATENT)
    scales = values(2, queries, HEADS, 1).sigmoid() / 128
    return query, scales, values(2, queries, HEADS, ROPE, dtype=BF16, seed=2)


@pytest.mark.parametrize("fractal", [False, True], ids=["rows", "fractal"])
@pytest.mark.parametrize("queries", [1, 3])
@pytest.mark.parametrize(
    "layout", ["BSH", "BSND", "BNSD", "BNSD_NBSD", "BSND_NBSD", "BSH_NBSD", "TND", "TND_NTD"]
)
def test_scores_are_those_of_the_numbers_that_the_integers_stand_for(layout, queries, fractal):
    caches, (query, scales, q_rope) = Caches(), _operands(queries)
    actual, _ = torch_npu.npu_fused_infer_attention_score_v2(
        **_arguments(caches, query, scales, q_rope, layout, fractal=fractal)
    )
    target = layout.split("_")[-1]
    expected = []
    for i, length in enumerate(KEYS):
        value = rows_of(caches.latent, caches.table[i], length) * caches.scale
        key = torch.cat([value, rows_of(caches.rope, caches.table[i], length).float()], -1)
        q = torch.cat([query[i] * scales[i], q_rope[i].float()], -1)
        expected.append(attend(q, key, value, hidden(queries, length, 3), SCALE)[0])
    assert actual.dtype == BF16
    expected = ARRANGE[target](torch.stack(expected))
    torch.testing.assert_close(actual.cpu().float(), expected, rtol=2**-8, atol=2**-9)


def test_scales_may_come_without_a_last_dimension():
    caches, (query, scales, q_rope) = Caches(), _operands(1)
    arguments = _arguments(caches, query, scales, q_rope, "BNSD")
    expected, _ = torch_npu.npu_fused_infer_attention_score_v2(**arguments)
    arguments["dequant_scale_query"] = arguments["dequant_scale_query"].squeeze(-1)
    actual, _ = torch_npu.npu_fused_infer_attention_score_v2(**arguments)
    assert torch.equal(actual.cpu(), expected.cpu())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"dequant_scale_query": None}, "an int8 query needs dequantScaleQuery"),
        ({"query_quant_mode": 0}, "queryQuantMode must be 3"),
        ({"dequant_scale_key": None}, "key and value must have one scale each"),
        ({"key_quant_mode": 1, "value_quant_mode": 1}, "key and value must have one scale each"),
        ({"query_rope": None, "key_rope": None}, "an int8 query needs queryRope and keyRope"),
        ({"dequant_scale_query": values(2, 2, 1, 1).npu}, "a number for each token and head"),
        (
            {"dequant_scale_query": values(2, HEADS, 1, 1, dtype=BF16).npu},
            "scales must be float32 with an int8 query",
        ),
    ],
)
def test_what_an_int8_query_does_not_go_with_is_refused(change, text):
    arguments = _arguments(Caches(), *_operands(1), "BNSD")
    change = {name: value() if callable(value) else value for name, value in change.items()}
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_fused_infer_attention_score_v2, **(arguments | change))
