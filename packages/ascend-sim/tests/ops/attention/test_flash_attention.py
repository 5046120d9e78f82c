# SPDX-License-Identifier: Apache-2.0
"""Attention of training, which takes fp32 on a device too."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import refusal
from support.attention import TRIANGLE, assert_near, attend, hidden
from support.oracle import FLOATS, assert_same, values, with_gradients


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(("queries", "keys"), [(1, 9), (5, 5), (40, 40)])
@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention_equals_cpu(dtype, queries, keys, causal):
    q, k, v = (
        values(2, 4, queries, 16, dtype=dtype),
        values(2, 4, keys, 16, dtype=dtype, seed=1),
        values(2, 4, keys, 16, dtype=dtype, seed=2),
    )
    is_causal = causal and queries == keys
    assert_same(
        lambda *t: F.scaled_dot_product_attention(*t, is_causal=is_causal), q, k, v, scale=2
    )


def test_scaled_dot_product_attention_with_a_mask_equals_cpu():
    mask = values(2, 1, 7, 9, seed=5) > 0
    mask[..., 0] = True
    q, k, v = values(2, 4, 7, 16), values(2, 4, 9, 16, seed=1), values(2, 4, 9, 16, seed=2)
    assert_same(
        lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, attn_mask=m), q, k, v, mask
    )


LAYOUTS = {
    "BSH": (lambda t: t.flatten(2), lambda t, n: t.unflatten(2, (n, -1))),
    "SBH": (
        lambda t: t.flatten(2).transpose(0, 1),
        lambda t, n: t.transpose(0, 1).unflatten(2, (n, -1)),
    ),
    "BSND": (lambda t: t, lambda t, _: t),
    "BNSD": (lambda t: t.transpose(1, 2), lambda t, _: t.transpose(1, 2)),
}
"""To a layout from [batch, token, head, size], and back."""


FUNCTIONS = ["npu_fusion_attention", "npu_fusion_attention_v2"]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sparse_mode", [0, 2, 3])
def test_fusion_attention_in_every_layout(layout, sparse_mode, function):
    query, key, value = (
        values(2, 5, 4, 16),
        values(2, 9, 2, 16, seed=1),
        values(2, 9, 2, 16, seed=2),
    )
    arrange, restore = LAYOUTS[layout]
    actual = getattr(torch_npu, function)(
        *(arrange(t).contiguous().npu() for t in (query, key, value)),
        head_num=4,
        input_layout=layout,
        scale=0.125,
        atten_mask=TRIANGLE.npu() if sparse_mode else None,
        sparse_mode=sparse_mode,
    )[0]
    masked = hidden(5, 9, sparse_mode)
    expected = torch.stack([attend(query[i], key[i], value[i], masked)[0] for i in range(2)])
    assert_near(restore(actual.cpu(), 4), expected)


def _packed_arguments(queries, keys):
    ends = [torch.tensor(lengths).cumsum(0).tolist() for lengths in (queries, keys)]
    return {"actual_seq_qlen": ends[0], "actual_seq_kvlen": ends[1], "input_layout": "TND"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_packed_sequences(function):
    queries, keys = [3, 40, 1], [5, 40, 70]
    query, key, value = (
        values(sum(queries), 4, 16),
        values(sum(keys), 2, 16, seed=1),
        values(sum(keys), 2, 16, seed=2),
    )
    actual = getattr(torch_npu, function)(
        query.npu(),
        key.npu(),
        value.npu(),
        head_num=4,
        scale=0.125,
        atten_mask=TRIANGLE.npu(),
        sparse_mode=3,
        **_packed_arguments(queries, keys),
    )[0]
    expected = [
        attend(q, k, v, hidden(len(q), len(k), 3))[0]
        for q, k, v in zip(query.split(queries), key.split(keys), value.split(keys), strict=True)
    ]
    assert_near(actual, torch.cat(expected))


def test_packed_sequences_at_the_end_may_take_no_part():
    query, key = values(5, 2, 16), values(5, 2, 16, seed=1)
    actual = torch_npu.npu_fusion_attention(
        query.npu(),
        key.npu(),
        key.npu(),
        head_num=2,
        scale=0.125,
        input_layout="TND",
        actual_seq_qlen=[2, 3, 0],
        actual_seq_kvlen=[2, 3, 0],
    )[0].cpu()
    expected, _ = attend(query[:2], key[:2], key[:2], hidden(2, 2, 0))
    assert_near(actual[:2], expected)
    assert not actual[3:].any()


@pytest.mark.parametrize("queries", [3, 40])
def test_a_sink_takes_part_in_the_softmax(queries):
    query, key, value = (values(1, queries, 4, 16, seed=seed) for seed in range(3))
    sink = values(4, seed=4)
    actual = torch_npu.npu_fusion_attention(
        query.npu(),
        key.npu(),
        value.npu(),
        head_num=4,
        input_layout="BSND",
        scale=0.125,
        sink=sink.npu(),
    )[0]
    expected, _ = attend(query[0], key[0], value[0], hidden(queries, queries, 0), sink=sink)
    assert_near(actual[0], expected)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_sink_takes_part_in_the_softmax_of_packed_sequences(function):
    queries, keys = [3, 40], [5, 70]
    query, key, value = values(43, 4, 16), values(75, 2, 16, seed=1), values(75, 2, 8, seed=2)
    sink = values(4, seed=4)
    actual = getattr(torch_npu, function)(
        query.npu(),
        key.npu(),
        value.npu(),
        head_num=4,
        scale=0.25,
        sink=sink.npu(),
        atten_mask=TRIANGLE.npu(),
        sparse_mode=3,
        **_packed_arguments(queries, keys),
    )[0]
    expected = [
        attend(q, k, v, hidden(len(q), len(k), 3), scale=0.25, sink=sink)[0]
        for q, k, v in zip(query.split(queries), key.split(keys), value.split(keys), strict=True)
    ]
    assert_near(actual, torch.cat(expected))


@pytest.mark.parametrize("with_sink", [False, True], ids=["", "sink"])
def test_packed_queries_with_a_rope(with_sink):
    lengths = [3, 40]
    sink = values(2, seed=5) if with_sink else None
    tensors = [values(43, 2, size, seed=seed) for seed, size in enumerate([32, 32, 32, 16, 16])]
    query, key, value, query_rope, key_rope = tensors
    actual = torch_npu.npu_fusion_attention_v2(
        query.npu(),
        key.npu(),
        value.npu(),
        head_num=2,
        scale=0.125,
        query_rope=query_rope.npu(),
        key_rope=key_rope.npu(),
        sink=sink.npu() if with_sink else None,
        atten_mask=TRIANGLE.npu(),
        sparse_mode=3,
        **_packed_arguments(lengths, lengths),
    )[0]
    parts = zip(
        torch.cat([query, query_rope], -1).split(lengths),
        torch.cat([key, key_rope], -1).split(lengths),
        value.split(lengths),
        strict=True,
    )
    expected = [attend(q, k, v, hidden(len(q), len(q), 3), sink=sink)[0] for q, k, v in parts]
    assert_near(actual, torch.cat(expected))


@pytest.mark.parametrize("tokens", [6, 40], ids=["few", "many"])
@pytest.mark.parametrize("layout", ["BNSD", "TND", "TND as the input"])
def test_statistics_are_the_greatest_score_and_the_sum(layout, tokens):
    """Of exp(score - greatest); in a packed layout heads come first unless asked."""
    query, key = values(tokens, 4, 16), values(tokens, 4, 16, seed=1)
    arguments = {"atten_mask": TRIANGLE.npu(), "sparse_mode": 3}
    if layout == "BNSD":
        arguments |= {"input_layout": "BNSD"}
        q, k = (t.transpose(0, 1).unsqueeze(0).contiguous().npu() for t in (query, key))
    else:
        arguments |= _packed_arguments([tokens], [tokens])
        if layout != "TND":
            arguments["softmax_layout"] = "TND"
        q, k = query.npu(), key.npu()
    outputs = torch_npu.npu_fusion_attention(q, k, k, head_num=4, scale=0.125, **arguments)
    scores = torch.einsum("qhd,khd->hqk", query, key) * 0.125
    scores = scores.masked_fill(hidden(tokens, tokens, 3), -torch.inf)
    greatest = scores.amax(-1)
    total = (scores - greatest.unsqueeze(-1)).exp().sum(-1)
    for actual, expected in zip(outputs[1:3], (greatest, total), strict=True):
        by_head = expected if layout != "TND as the input" else expected.t()
        each_eight_times = by_head.reshape(-1, 1).expand(-1, 8)
        torch.testing.assert_close(actual.cpu().reshape(-1, 8), each_eight_times)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"heads": 257}, "headNum must be at most 256"),
        ({"size": 776}, "head size must be at most 768"),
        ({"mask": torch.int8}, "attenMask must be bool or uint8"),
    ],
    ids=str,
)
def test_limits_of_a_device(arguments, text):
    """npu_fusion_attention.md, the section of constraints."""
    heads, size = arguments.get("heads", 2), arguments.get("size", 16)
    query = values(1, 2, heads, size).npu()
    mask = torch.zeros(2, 2, dtype=arguments["mask"]).npu() if "mask" in arguments else None
    with pytest.raises(RuntimeError, match=text):
        _attend_and_wait(query, mask, heads)


def _attend_and_wait(query, mask, heads):
    torch_npu.npu_fusion_attention(
        query, query, query, head_num=heads, input_layout="BSND", atten_mask=mask
    )
    torch.npu.synchronize()


def test_statistics_that_do_not_fit_the_queries_are_refused():
    """They would be written beyond their end."""
    query = values(1, 2, 6, 16).npu()
    few = torch.empty(1, 2, 1, 8).npu()
    masks, attributes = [None] * 5, [0.25, 1.0, 65535, 65535, 2, b"BNSD", 0, 0]
    operands = [query, query, query, *masks, *attributes]
    status, text = refusal(
        "aclnnFlashAttentionScore", *operands, few, few, None, torch.empty_like(query)
    )
    assert status == 161002
    assert "softmaxMax and softmaxSum must have one shape, with 8 elements for each of 12" in text


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    ("queries", "keys", "causal"), [(1, 9, False), (5, 5, True), (40, 40, True)]
)
def test_gradients_of_scaled_dot_product_attention(dtype, queries, keys, causal):
    q, k, v = (
        values(2, 4, queries, 16, dtype=dtype),
        values(2, 4, keys, 16, dtype=dtype, seed=1),
        values(2, 4, keys, 16, dtype=dtype, seed=2),
    )
    assert_same(
        with_gradients(lambda *t: F.scaled_dot_product_attention(*t, is_causal=causal)),
        q, k, v, scale=4,
    )  # fmt: skip


def test_gradients_with_grouped_heads_and_a_mask():
    mask = values(2, 1, 7, 9, seed=5) > 0
    mask[..., 0] = True
    q, k, v = values(2, 4, 7, 16), values(2, 2, 9, 16, seed=1), values(2, 2, 9, 16, seed=2)
    assert_same(
        with_gradients(
            lambda q, k, v, m: F.scaled_dot_product_attention(
                q, k, v, attn_mask=m, enable_gqa=True
            )
        ),
        q, k, v, mask, scale=2,
    )  # fmt: skip


def _differentiate(attention, tensors, weights):
    """Gradients of `attention` by `tensors`, its results weighted by `weights`."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in tensors]
    attention(*leaves).backward(weights)
    return [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sparse_mode", [0, 2, 3])
def test_gradients_in_every_layout(layout, sparse_mode):
    tensors = values(2, 5, 4, 16), values(2, 9, 2, 16, seed=1), values(2, 9, 2, 16, seed=2)
    weights = values(2, 5, 4, 16, seed=3)
    arrange, restore = LAYOUTS[layout]
    masked = hidden(5, 9, sparse_mode)

    def fused(q, k, v):
        mask = masked if sparse_mode == 0 else TRIANGLE
        return torch_npu.npu_fusion_attention(
            q, k, v, 4, layout, scale=0.125, sparse_mode=sparse_mode, atten_mask=mask.npu()
        )[0]

    def written_out(q, k, v):
        return torch.stack([attend(*rows, masked)[0] for rows in zip(q, k, v, strict=True)])

    actual = _differentiate(
        fused, [arrange(t).contiguous().npu() for t in tensors], arrange(weights).contiguous().npu()
    )
    expected = _differentiate(written_out, tensors, weights)
    for got, want in zip(actual, expected, strict=True):
        torch.testing.assert_close(restore(got.cpu(), want.size(2)), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("softmax_layout", ["", "TND"], ids=["NTD", "TND"])
def test_gradients_of_packed_sequences(softmax_layout):
    queries, keys = [3, 1, 20], [5, 2, 20]
    tensors = values(24, 4, 16), values(27, 2, 16, seed=1), values(27, 2, 16, seed=2)
    weights = values(24, 4, 16, seed=3)

    def fused(q, k, v):
        return torch_npu.npu_fusion_attention(
            q, k, v, 4, "TND", scale=0.125, sparse_mode=3, atten_mask=TRIANGLE.npu(),
            actual_seq_qlen=torch.tensor(queries).cumsum(0).tolist(),
            actual_seq_kvlen=torch.tensor(keys).cumsum(0).tolist(), softmax_layout=softmax_layout,
        )[0]  # fmt: skip

    def written_out(q, k, v):
        sequences = zip(q.split(queries), k.split(keys), v.split(keys), strict=True)
        return torch.cat([attend(*rows, hidden(len(rows[0]), len(rows[1]), 3))[0]
                          for rows in sequences])  # fmt: skip

    actual = _differentiate(fused, [t.npu() for t in tensors], weights.npu())
    expected = _differentiate(written_out, tensors, weights)
    for got, want in zip(actual, expected, strict=True):
        torch.testing.assert_close(got.cpu(), want, rtol=1e-4, atol=1e-5)
