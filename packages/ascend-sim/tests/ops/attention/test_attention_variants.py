# SPDX-License-Identifier: Apache-2.0
"""What attention of inference can do beside causal masks, in fp32 against it written out."""

import pytest
import torch
import torch_npu
from support.attention import TRIANGLE, assert_near, attend, hidden, over_pages, paged, rows_of
from support.oracle import values

pytestmark = pytest.mark.device_limits("off")  # fp32, small sizes

BLOCK = 16
SCALE = 0.125


def _ends(lengths):
    return torch.tensor(lengths).cumsum(0).tolist()


@pytest.mark.parametrize(
    ("queries", "keys"),
    [([1, 1], [9, 90]), ([2, 1, 4], [40, 3, 21]), ([40, 1], [60, 17])],
    ids=["decode", "speculative", "chunked prefill"],
)
class TestPackedQueries:
    def test_sliding_window(self, queries, keys):
        """Each query sees itself and the eight keys before it."""
        (actual, _), (expected, _) = over_pages(queries, keys, mode=4, window=(8, 0))
        assert_near(actual, expected)

    def test_sink(self, queries, keys):
        """Each head has one more score, which takes its part of the softmax and no value."""
        (actual, _), (expected, _) = over_pages(queries, keys, sink=values(4, seed=7))
        assert_near(actual, expected)

    def test_sink_and_sliding_window(self, queries, keys):
        (actual, _), (expected, _) = over_pages(
            queries, keys, mode=4, window=(8, 0), sink=values(4, seed=7)
        )
        assert_near(actual, expected)


def test_a_query_may_be_a_part_of_a_wider_tensor():
    wide = values(2, 3, 4, 2 * 16)
    query, (key, value) = wide[..., 16:], (values(2, 9, 2, 16, seed=seed) for seed in (1, 2))
    actual, _ = torch_npu.npu_fused_infer_attention_score_v2(
        wide.npu()[..., 16:],
        key.npu(),
        value.npu(),
        num_query_heads=4,
        num_key_value_heads=2,
        softmax_scale=SCALE,
        input_layout="BSND",
    )
    for i in range(2):
        expected, _ = attend(query[i], key[i], value[i], hidden(3, 9, 0))
        assert_near(actual[i], expected)


@pytest.mark.parametrize("layout", ["TND", "TND_NTD", "NTD_TND", "NTD"])
def test_packed_layouts_of_queries_and_results(layout):
    queries, keys = [3, 40], [5, 60]
    query, key, value = (
        values(43, 4, 16),
        values(65, 2, 16, seed=1),
        values(65, 2, 16, seed=2),
    )
    source, target = (layout.split("_") * 2)[:2]
    arrange = {"TND": lambda t: t, "NTD": lambda t: t.transpose(0, 1)}
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        *(arrange[source](t).contiguous().npu() for t in (query, key, value)),
        atten_mask=TRIANGLE.npu(),
        actual_seq_lengths=_ends(queries),
        actual_seq_lengths_kv=_ends(keys),
        num_heads=4,
        num_key_value_heads=2,
        scale=SCALE,
        input_layout=layout,
        sparse_mode=3,
    )
    parts = zip(query.split(queries), key.split(keys), value.split(keys), strict=True)
    expected = [attend(q, k, v, hidden(len(q), len(k), 3))[0] for q, k, v in parts]
    assert_near(arrange[target](actual.cpu()), torch.cat(expected))


@pytest.mark.parametrize("queries", [1, 4, 40])
def test_values_of_another_size_than_keys(queries):
    query, key, value = (
        values(queries, 4, 24),
        values(48, 2, 24, seed=1),
        values(48, 2, 16, seed=2),
    )
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        atten_mask=TRIANGLE.npu(),
        actual_seq_lengths=[queries],
        actual_seq_lengths_kv=[48],
        num_heads=4,
        num_key_value_heads=2,
        scale=SCALE,
        input_layout="TND",
        sparse_mode=3,
    )
    assert_near(actual, attend(query, key, value, hidden(queries, 48, 3))[0])


def _dense(queries=4, keys=24):
    shapes = ((2, queries, 4, 16), (2, keys, 2, 16), (2, keys, 2, 16))
    return tuple(values(*shape, seed=seed) for seed, shape in enumerate(shapes))


DENSE = {"num_heads": 4, "num_key_value_heads": 2, "scale": SCALE, "input_layout": "BSND"}


@pytest.mark.parametrize("queries", [1, 4])
@pytest.mark.parametrize("length", [None, 5])
def test_a_shared_prefix_stands_before_every_sequence(queries, length):
    query, key, value = _dense(queries)
    prefix = values(1, 9, 2, 16, seed=5), values(1, 9, 2, 16, seed=6)
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        key_shared_prefix=prefix[0].npu(),
        value_shared_prefix=prefix[1].npu(),
        actual_shared_prefix_len=None if length is None else [length],
        actual_seq_lengths_kv=[24, 7],
        **DENSE,
    )
    for i, own in enumerate([24, 7]):
        k, v = (
            torch.cat([shared[0, :length], rows[i, :own]])
            for shared, rows in zip(prefix, (key, value), strict=True)
        )
        assert_near(actual[i], attend(query[i], k, v, hidden(queries, len(k), 0))[0])


@pytest.mark.parametrize("queries", [1, 4])
def test_left_padding(queries):
    """Sequences end where padding begins, not where their rows begin."""
    query, key, value = _dense(queries)
    arguments = {"kv_padding_size": torch.tensor([3]).npu()}
    if queries > 1:
        arguments["query_padding_size"] = torch.tensor([1]).npu()
        arguments["actual_seq_lengths"] = [2, 3]
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(),
        key.npu(),
        value.npu(),
        actual_seq_lengths_kv=[21, 6],
        **DENSE,
        **arguments,
    )
    for i, (own, length) in enumerate(zip([2, 3], [21, 6], strict=True)):
        rows = slice(3 - own, 3) if queries > 1 else slice(0, 1)
        keys = slice(21 - length, 21)
        expected, _ = attend(
            query[i, rows], key[i, keys], value[i, keys], torch.zeros(1, length, dtype=torch.bool)
        )
        assert_near(actual[i, rows], expected)


def _quantize(rows, scale, offset=0.0):
    return (rows / scale - offset).round().clamp(-128, 127).to(torch.int8)


def _shaped(mode, batch, keys, heads, size):
    """Scales of a mode: as the operator takes them, and as they multiply [batch, keys, N, D]."""
    shape, spread = {
        "tensor": ((1,), (1, 1, 1, 1)),
        "channel": ((heads, size), (1, 1, heads, size)),
        "token": ((batch, keys), (batch, keys, 1, 1)),
    }[mode]
    scale = values(*shape, seed=8).abs() * 0.02 + 0.01
    return scale, scale.reshape(spread)


@pytest.mark.parametrize("mode", ["tensor", "channel", "token"])
@pytest.mark.parametrize("offset", [False, True], ids=["symmetric", "with offset"])
@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
def test_an_int8_cache_is_scaled_as_it_is_read(mode, offset, together):
    query, key, value = _dense(1)
    scale, spread = _shaped(mode, 2, 24, 2, 16)
    shift = torch.full_like(scale, 3.0) if offset else None
    keys, others = (_quantize(rows, spread, 3.0 if offset else 0.0) for rows in (key, value))
    kind = int(mode == "token")
    pair = [None if t is None else t.npu() for t in (scale, shift)]
    if together:
        both = [None if t is None else torch.stack([t, t]).reshape(2, *t.shape) for t in pair]
        if mode == "tensor":
            both = [None if t is None else t.flatten() for t in both]
        arguments = {
            "antiquant_scale": both[0],
            "antiquant_offset": both[1],
            "antiquant_mode": kind,
        }
    else:
        arguments = {
            "key_antiquant_scale": pair[0],
            "key_antiquant_offset": pair[1],
            "value_antiquant_scale": pair[0],
            "value_antiquant_offset": pair[1],
            "key_antiquant_mode": kind,
            "value_antiquant_mode": kind,
        }
    actual, _ = torch_npu.npu_fused_infer_attention_score(
        query.npu(), keys.npu(), others.npu(), **DENSE, **arguments
    )
    k, v = ((rows.float() + (3.0 if offset else 0.0)) * spread for rows in (keys, others))
    for i in range(2):
        assert_near(actual[i], attend(query[i], k[i], v[i], hidden(1, 24, 0))[0])


@pytest.mark.parametrize(("key_mode", "value_mode"), [("tensor", "token"), ("token", "channel")])
def test_keys_and_values_are_scaled_each_in_its_way(key_mode, value_mode):
    """The second version of the operator."""
    query, *cached = _dense(1)
    offsets, modes = (3.0, -2.0), (key_mode, value_mode)
    scales, spreads = zip(*(_shaped(mode, 2, 24, 2, 16) for mode in modes), strict=True)
    keys, others = map(_quantize, cached, spreads, offsets)
    shifts = map(torch.full_like, scales, offsets)
    key_offset, value_offset = (shift.npu() for shift in shifts)
    actual, _ = torch_npu.npu_fused_infer_attention_score_v2(
        query.npu(),
        keys.npu(),
        others.npu(),
        dequant_scale_key=scales[0].npu(),
        dequant_offset_key=key_offset,
        dequant_scale_value=scales[1].npu(),
        dequant_offset_value=value_offset,
        key_quant_mode=int(key_mode == "token"),
        value_quant_mode=int(value_mode == "token"),
        num_query_heads=4,
        num_key_value_heads=2,
        softmax_scale=SCALE,
        input_layout="BSND",
    )
    k, v = (
        (rows.float() + offset) * spread
        for rows, offset, spread in zip((keys, others), offsets, spreads, strict=True)
    )
    for i in range(2):
        assert_near(actual[i], attend(query[i], k[i], v[i], hidden(1, 24, 0))[0])


@pytest.mark.parametrize("layout", ["BSH", "BSND", "BNSD"])
def test_incre_flash_attention_over_pages(layout):
    keys = [20, 50]
    key, value, table = paged(keys, BLOCK, (2, 16), (2, 16))
    query = values(2, 1, 4, 16)
    arrange = {
        "BSH": lambda t: t.flatten(2),
        "BSND": lambda t: t,
        "BNSD": lambda t: t.transpose(1, 2),
    }
    actual = torch_npu.npu_incre_flash_attention(
        arrange[layout](query).contiguous().npu(),
        key.flatten(2).npu(),
        value.flatten(2).npu(),
        actual_seq_lengths=keys,
        block_table=table.npu(),
        block_size=BLOCK,
        num_heads=4,
        num_key_value_heads=2,
        scale_value=SCALE,
        input_layout=layout,
    )
    for i, length in enumerate(keys):
        k, v = (rows_of(cache, table[i], length) for cache in (key, value))
        expected, _ = attend(query[i], k, v, hidden(1, length, 0))
        assert_near(actual.cpu()[i].reshape(1, 4, 16), expected)


@pytest.mark.parametrize("sparse_mode", [0, 2, 3, 4])
def test_prompt_flash_attention(sparse_mode):
    query, key, value = _dense()
    mask = hidden(4, 24, 4, 6, 0) if sparse_mode == 0 else TRIANGLE
    actual = torch_npu.npu_prompt_flash_attention(
        query.npu(),
        key.npu(),
        value.npu(),
        atten_mask=mask.npu(),
        num_heads=4,
        num_key_value_heads=2,
        scale_value=SCALE,
        pre_tokens=2147483647 if sparse_mode == 0 else 6,
        next_tokens=2147483647 if sparse_mode == 0 else 0,
        input_layout="BSND",
        sparse_mode=sparse_mode,
    )
    masked = mask if sparse_mode == 0 else hidden(4, 24, sparse_mode, 6, 0)
    for i in range(2):
        assert_near(actual[i], attend(query[i], key[i], value[i], masked)[0])


def test_parts_put_together_are_the_whole():
    """Attention over halves of the keys, merged by npu_attention_update, is that over all."""
    query, key, value = _dense()
    parts = [
        torch_npu.npu_fused_infer_attention_score(
            query.npu(),
            key[:, half].contiguous().npu(),
            value[:, half].contiguous().npu(),
            softmax_lse_flag=True,
            **DENSE,
        )
        for half in (slice(0, 10), slice(10, 24))
    ]
    # The log-sum-exp is [B, N, S, 1], the result [B, S, N, D].
    lse = [part[1].squeeze(-1).transpose(1, 2).flatten() for part in parts]
    out = [part[0].flatten(0, 2) for part in parts]
    merged, total = torch_npu.npu_attention_update(lse, out, 1)
    whole = [attend(query[i], key[i], value[i], hidden(4, 24, 0)) for i in range(2)]
    assert_near(merged, torch.cat([result for result, _ in whole]).flatten(0, 1))
    assert_near(total, torch.cat([lse for _, lse in whole]).flatten())
    merged, _ = torch_npu.npu_attention_update(lse, out, 0)
    assert_near(merged, torch.cat([result for result, _ in whole]).flatten(0, 1))


@pytest.mark.parametrize("layout", ["SBH", "TND"])
def test_ring_attention_update_puts_two_parts_together(layout):
    query, key, value = values(5, 2, 16), values(9, 2, 16, seed=1), values(9, 2, 16, seed=2)
    outputs, largest, total = [], [], []
    for half in (slice(0, 4), slice(4, 9)):
        scores = torch.einsum("qnd,knd->nqk", query, key[half]) * SCALE
        largest.append(scores.amax(-1))
        total.append((scores - scores.amax(-1, keepdim=True)).exp().sum(-1))
        outputs.append(attend(query, key[half], value[half], torch.zeros(1, dtype=torch.bool))[0])

    def eight(statistic):  # [N, S] as [B, N, S, 8] or [T, N, 8]
        rows = statistic.unsqueeze(0) if layout == "SBH" else statistic.t()
        return rows.unsqueeze(-1).repeat_interleave(8, -1).contiguous().npu()

    arrange = (lambda t: t.flatten(1).unsqueeze(1)) if layout == "SBH" else (lambda t: t)
    more = {}
    if layout == "TND":
        more = {
            "actual_seq_qlen": torch.tensor([5]).npu(),
            "input_layout": "TND",
            "input_softmax_layout": "TND",
        }
    out, top, added = torch_npu.npu_ring_attention_update(
        *(
            operand
            for index in range(2)
            for operand in (
                arrange(outputs[index]).npu(), eight(largest[index]), eight(total[index])
            )
        ),
        **more,
    )  # fmt: skip
    whole, lse = attend(query, key, value, torch.zeros(1, dtype=torch.bool))
    assert_near(out, arrange(whole))
    merged = (top.cpu() + added.cpu().log())[..., 0]
    torch.testing.assert_close(merged.squeeze(0) if layout == "SBH" else merged.t(), lse.t())


def test_replays_read_what_memory_holds_then():
    """Padding, scales, sinks and prefixes are device memory: a replay sees new contents."""
    query, key, value = (t.npu() for t in _dense(1))
    prefix, padding = values(1, 9, 2, 16, seed=5).npu(), torch.tensor([3]).npu()
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph):
        shared, _ = torch_npu.npu_fused_infer_attention_score(
            query, key, value, key_shared_prefix=prefix, value_shared_prefix=prefix, **DENSE
        )
        padded, _ = torch_npu.npu_fused_infer_attention_score(
            query, key, value, kv_padding_size=padding, actual_seq_lengths_kv=[5, 5], **DENSE
        )
    prefix.copy_(values(1, 9, 2, 16, seed=11))
    padding.fill_(2)
    graph.replay()
    torch.npu.synchronize()
    for i in range(2):
        k, v = (torch.cat([prefix[0].cpu(), rows[i].cpu()]) for rows in (key, value))
        assert_near(shared[i], attend(query[i].cpu(), k, v, hidden(1, 33, 0))[0])
        k, v = (rows[i, 17:22].cpu() for rows in (key, value))
        assert_near(padded[i], attend(query[i].cpu(), k, v, hidden(1, 5, 0))[0])
