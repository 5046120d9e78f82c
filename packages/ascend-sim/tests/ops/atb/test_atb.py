# SPDX-License-Identifier: Apache-2.0
"""The operations of libatb, through the functions that torch_npu binds, against plain PyTorch."""

import pytest
import torch
import torch_npu
from support.oracle import values

HALVES = [torch.float16, torch.bfloat16]
BLOCK = 16
_LIMIT = {torch.float16: 4e-3, torch.bfloat16: 2e-2}


def _close(actual, expected):
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu().float(), expected.float(), rtol=limit, atol=limit)


def _int32(*numbers):
    return torch.tensor(numbers, dtype=torch.int32)


def _attention(q, k, v, scale, hidden=None, bias=None):
    """Attend with [tokens, heads, size], heads repeated for their groups."""
    groups = q.shape[1] // k.shape[1]
    k, v = (t.float().repeat_interleave(groups, 1) for t in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q.float(), k) * scale
    if bias is not None:
        scores = scores + bias.float()
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    return torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)


def _above(queries, keys):
    """Mark what a causal mask hides when the last query is at the last key."""
    return torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)


class _Pages:
    """A cache of `lengths` tokens per sequence in shuffled blocks."""

    def __init__(self, lengths, heads, size, value_size, dtype):
        wanted = [-(-length // BLOCK) for length in lengths]
        order = torch.randperm(sum(wanted) + 2, generator=torch.Generator().manual_seed(3))
        self.key = values(len(order), BLOCK, heads, size, dtype=dtype, seed=1)
        self.value = values(len(order), BLOCK, heads, value_size, dtype=dtype, seed=2)
        self.table = torch.zeros(len(lengths), max(wanted), dtype=torch.int32)
        for row, count in enumerate(wanted):
            self.table[row, :count] = order[:count]
            order = order[count:]
        self.lengths = lengths

    def sequence(self, cache, row):
        blocks = self.table[row].long()
        return cache[blocks].flatten(0, 1)[: self.lengths[row]]

    def attend(self, q, row, scale, **mask):
        key, value = self.sequence(self.key, row), self.sequence(self.value, row)
        return _attention(q, key, value, scale, **mask)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_paged_attention(dtype, kv_heads):
    pages = _Pages([1, 20, 32], kv_heads, 32, 24, dtype)
    q = values(3, 4, 32, dtype=dtype)
    out = torch.empty(3, 4, 24, dtype=dtype, device="npu")
    torch_npu._npu_paged_attention(
        q.npu(), pages.key.npu(), pages.value.npu(), kv_heads, 4, 0.2, pages.table.npu(),
        _int32(*pages.lengths), out,
    )  # fmt: skip
    _close(out, torch.cat([pages.attend(q[i : i + 1], i, 0.2) for i in range(3)]))


def test_paged_attention_with_the_workspace_it_asks_for():
    pages = _Pages([5, 17], 2, 16, 16, torch.float16)
    q = values(2, 2, 16, dtype=torch.float16)
    out = torch.empty_like(q, device="npu")
    arguments = (
        q.npu(), pages.key.npu(), pages.value.npu(), 2, 2, 0.25, pages.table.npu(),
        _int32(*pages.lengths), out,
    )  # fmt: skip
    workspace = torch_npu._npu_paged_attention_get_workspace(*arguments)
    torch_npu._npu_paged_attention(*arguments, workspace=workspace)
    _close(out, torch.cat([pages.attend(q[i : i + 1], i, 0.25) for i in range(2)]))


def test_paged_attention_with_an_additive_mask():
    pages = _Pages([9, 30], 2, 16, 16, torch.float16)
    q = values(2, 4, 16, dtype=torch.float16)
    mask = values(2, 4, 1, 32, dtype=torch.float16, seed=4)
    out = torch.empty_like(q, device="npu")
    torch_npu.atb._npu_paged_attention_v2(
        q.npu(), pages.key.npu(), pages.table.npu(), pages.lengths, value_cache=pages.value.npu(),
        mask=mask.npu(), num_kv_heads=2, num_heads=4, scale_value=0.25, mask_type=2, out=out,
    )  # fmt: skip
    expected = [
        pages.attend(q[i : i + 1], i, 0.25, bias=mask[i, :, :, :length])
        for i, length in enumerate(pages.lengths)
    ]
    _close(out, torch.cat(expected))


def test_paged_attention_whose_values_are_a_part_of_the_keys():
    pages = _Pages([7, 33], 1, 24, 16, torch.bfloat16)
    pages.value = pages.key[..., :16]
    q = values(2, 8, 24, dtype=torch.bfloat16)
    out = torch.empty(2, 8, 16, dtype=torch.bfloat16, device="npu")
    torch_npu._npu_paged_attention_mla(
        q.npu(), pages.key.npu(), 1, 8, 0.2, pages.table.npu(), _int32(*pages.lengths), 16, out
    )
    _close(out, torch.cat([pages.attend(q[i : i + 1], i, 0.2) for i in range(2)]))


def test_several_queries_per_sequence_with_a_row_of_the_mask_each():
    lengths, queries = [12, 20], [3, 1]
    pages = _Pages(lengths, 2, 16, 16, torch.float16)
    q = values(4, 2, 16, dtype=torch.float16)
    mask = torch.zeros(4, 20, dtype=torch.float16)
    mask[:3, :12] = _above(3, 12).half() * -10000
    out = torch.empty_like(q, device="npu")
    torch_npu._npu_paged_attention_splitfuse(
        q.npu(), pages.key.npu(), pages.value.npu(), pages.table.npu(), _int32(*lengths),
        mask.npu(), _int32(*queries), 2, 2, 0.25, out,
    )  # fmt: skip
    first = pages.attend(q[:3], 0, 0.25, hidden=_above(3, 12))
    _close(out, torch.cat([first, pages.attend(q[3:], 1, 0.25)]))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_flash_attention_masks_what_is_not_zero(dtype):
    lengths = [5, 9]
    q, k, v = (values(14, heads, 16, dtype=dtype, seed=heads) for heads in (4, 2, 2))
    mask = torch.ones(9, 9).triu(1).to(dtype) * (-10000 if dtype == torch.float16 else 1)
    out = torch.empty_like(q, device="npu")
    torch_npu._npu_flash_attention(
        q.npu(), k.npu(), v.npu(), mask.npu(), _int32(*lengths), 0.25, 4, 2, out
    )
    parts = [t.split(lengths) for t in (q, k, v)]
    expected = [
        _attention(*sequence, 0.25, hidden=_above(n, n))
        for sequence, n in zip(zip(*parts, strict=True), lengths, strict=True)
    ]
    _close(out, torch.cat(expected))


def test_flash_attention_without_a_mask_sees_everything():
    q, k, v = (values(6, 2, 16, dtype=torch.float16, seed=i) for i in range(3))
    out = torch.empty_like(q, device="npu")
    torch_npu._npu_flash_attention_unpad(q.npu(), k.npu(), v.npu(), _int32(2, 4), 0.25, 2, 2, out)
    parts = zip(*(t.split([2, 4]) for t in (q, k, v)), strict=True)
    _close(out, torch.cat([_attention(*sequence, 0.25) for sequence in parts]))


def test_flash_attention_adds_a_mask_of_every_head():
    q, k, v = (values(6, 2, 16, dtype=torch.bfloat16, seed=i) for i in range(3))
    mask = values(2, 8, 8, dtype=torch.bfloat16, seed=5)
    out = torch.empty_like(q, device="npu")
    torch_npu.atb._npu_flash_attention_v2(
        q.npu(), k.npu(), v.npu(), [6], mask=mask.npu(), mask_type=2, scale_value=0.25,
        num_heads=2, num_kv_heads=2, out=out,
    )  # fmt: skip
    _close(out, _attention(q, k, v, 0.25, bias=mask[:, :6, :6]))


def test_flash_attention_to_a_prefix_is_causal():
    lengths, queries = [40, 18], [7, 18]
    pages = _Pages(lengths, 2, 16, 16, torch.bfloat16)
    q = values(25, 4, 16, dtype=torch.bfloat16)
    triangle = torch.ones(128, 128).triu(1).bfloat16()
    out = torch.empty_like(q, device="npu")
    torch_npu._npu_flash_attention_qlens(
        q.npu(), pages.key.npu(), pages.value.npu(), pages.table.npu(), triangle.npu(),
        _int32(*queries), _int32(*lengths), 2, 4, 0.25, out,
    )  # fmt: skip
    expected = [
        pages.attend(part, i, 0.25, hidden=_above(queries[i], lengths[i]))
        for i, part in enumerate(q.split(queries))
    ]
    _close(out, torch.cat(expected))


@pytest.mark.parametrize("dtype", [*HALVES, torch.int8], ids=str)
def test_reshape_and_cache_writes_slots_and_skips_negative_ones(dtype):
    slots = [5, -1, 34, 0]
    key, value = values(4, 2, 8, dtype=dtype), values(4, 2, 12, dtype=dtype, seed=1)
    key_cache, value_cache = (values(3, BLOCK, 2, size, dtype=dtype, seed=size) for size in (8, 12))
    on_npu = key_cache.npu(), value_cache.npu()
    torch_npu._npu_reshape_and_cache(key.npu(), value.npu(), *on_npu, _int32(*slots).npu())
    for token, slot in enumerate(slots):
        if slot >= 0:
            key_cache[slot // BLOCK, slot % BLOCK] = key[token]
            value_cache[slot // BLOCK, slot % BLOCK] = value[token]
    assert torch.equal(on_npu[0].cpu(), key_cache)
    assert torch.equal(on_npu[1].cpu(), value_cache)


def test_reshape_and_cache_of_keys_alone():
    key, cache = values(2, 1, 8, dtype=torch.float16), values(2, BLOCK, 1, 8, dtype=torch.float16)
    on_npu = cache.npu()
    torch_npu._npu_reshape_and_cache_siso(key.npu(), on_npu, _int32(20, 3).npu())
    cache[1, 4], cache[0, 3] = key
    assert torch.equal(on_npu.cpu(), cache)


def test_reshape_and_cache_into_blocks():
    torch.npu.config.allow_internal_format = True
    key = values(3, 2, 16, dtype=torch.float16)
    cache = values(4, 2, 32, 16, dtype=torch.float16, seed=1)  # blocks, elements / 16, tokens, 16
    on_npu = [torch_npu.npu_format_cast(cache.npu(), 29) for _ in range(2)]
    torch.npu.config.allow_internal_format = False
    torch_npu._npu_reshape_and_cache(key.npu(), key.npu(), *on_npu, _int32(0, 40, 127).npu())
    for token, slot in enumerate([0, 40, 127]):
        cache[slot // 32, :, slot % 32] = key[token].reshape(2, 16)
    assert torch.equal(on_npu[0].cpu(), cache)
    assert torch.equal(on_npu[1].cpu(), cache)


def _pairs(x, neox):
    return x.chunk(2, -1) if neox else (x[..., ::2], x[..., 1::2])


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_rotary_embedding_of_neighbours(dtype):
    # torch_npu keeps the cosines of the first call of a process: one cache for all tests.
    angles = torch.arange(16.0)[:, None] * torch.tensor([1.0, 0.1, 0.01, 0.001])
    cos_sin = torch.cat([angles.cos(), angles.sin()], -1)
    positions = torch.tensor([3, 0, 11])
    query, key = values(3, 16, dtype=dtype), values(3, 8, dtype=dtype, seed=1)
    for neox in (True, False):
        on_npu = query.npu(), key.npu()
        torch_npu._npu_rotary_embedding(positions.npu(), *on_npu, 8, cos_sin.npu(), neox)
        for actual, x in zip(on_npu, (query, key), strict=True):
            cos, sin = cos_sin[positions].unsqueeze(1).chunk(2, -1)
            a, b = _pairs(x.float().view(3, -1, 8), neox)
            parts = a * cos - b * sin, b * cos + a * sin
            expected = torch.cat(parts, -1) if neox else torch.stack(parts, -1).flatten(-2)
            _close(actual, expected.view_as(x))


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_product_adds_to_a_float_matrix(dtype):
    x, weight, c = values(24, 5, dtype=dtype), values(24, 7, dtype=dtype, seed=1), values(5, 7)
    on_npu = c.npu()
    torch_npu._npu_matmul_add_fp32(x.npu(), weight.npu(), on_npu)
    expected = c + x.float().t() @ weight.float()
    torch.testing.assert_close(on_npu.cpu(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_quantization_divides_by_the_scale(dtype):
    x = (torch.arange(-140, 140).to(dtype) / 2).view(10, 28)
    scale, offset = torch.tensor([0.25], dtype=dtype), torch.tensor([3], dtype=torch.int8)
    y = torch.empty(10, 28, dtype=torch.int8, device="npu")
    torch_npu._npu_quantize_per_tensor(x.npu(), scale.npu(), offset.npu(), y)
    expected = (torch.round(x.float() / 0.25) + 3).clamp(-128, 127).to(torch.int8)
    assert torch.equal(y.cpu(), expected)


def test_quantized_rms_norm():
    x = values(4, 2, 32, dtype=torch.float16)
    gamma, beta = (values(1, 32, dtype=torch.float16, seed=seed) for seed in (1, 2))
    y = torch.empty(4, 2, 32, dtype=torch.int8, device="npu")
    scale, offset = torch.tensor([0.05]).half(), torch.tensor([2], dtype=torch.int8)
    torch_npu._npu_quant_rms_norm(
        x.npu(), gamma.npu(), beta.npu(), scale.npu(), offset.npu(), y, 1e-5
    )
    wide = x.float()
    norm = wide / torch.sqrt(wide.square().mean(-1, keepdim=True) + 1e-5)
    exact = (norm * gamma[0].float() + beta[0].float()) / scale.float() + 2
    # A quotient that lies between two integers may be rounded to either.
    assert ((y.cpu().float() - exact.clamp(-128, 127)).abs() <= 0.5 + 1e-3).all()


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 1), (2, 2), (4, 1)])
def test_group_topk_keeps_the_best_groups(k, n):
    x = values(5, 12, dtype=torch.float16)
    on_npu = x.npu()
    torch_npu._npu_group_topk(on_npu, k, 4, n)
    groups = x.view(5, 4, 3)
    best = groups.float().topk(n).values.sum(-1).topk(k).indices
    kept = torch.zeros(5, 4, dtype=torch.bool).scatter_(1, best, True)
    assert torch.equal(on_npu.cpu(), (groups * kept[..., None]).view(5, 12))


def _set_up(lengths, dtype=torch.float16):
    """Do what checks the arguments, in the calling thread, and nothing more."""
    pages = _Pages([20, 20], 1, 16, 16, dtype)
    q = values(2, 2, 16, dtype=dtype)
    torch_npu._npu_paged_attention_get_workspace(
        q.npu(), pages.key.npu(), pages.value.npu(), 1, 2, 0.25, pages.table.npu(), lengths,
        torch.empty_like(q, device="npu"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        (_int32(1, 33), "block_table does not cover"),
        (_int32(1, 2, 3), "a row per sequence"),
        (torch.tensor([1, 2]), "int32 tensor in host memory"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(lengths, text, capfd):
    with pytest.raises(RuntimeError, match="PagedAttentionOperation setup failed"):
        _set_up(lengths)
    assert text in capfd.readouterr().err


def test_attention_takes_no_float32(capfd):
    with pytest.raises(RuntimeError, match="setup failed"):
        _set_up(_int32(3, 4), torch.float32)
    assert "float16 or bfloat16, not Float" in capfd.readouterr().err


def _latent(tokens, dtype, seed=0):
    return values(tokens, 2, 32, dtype=dtype, seed=seed), values(
        tokens, 2, 8, dtype=dtype, seed=seed + 1
    )


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_latent_attention_reads_values_and_keys_from_one_cache(dtype):
    pages = _Pages([5, 40], 1, 40, 1, dtype)
    nope, rope = _latent(2, dtype)
    q = torch.cat([nope, rope], -1)
    out = torch_npu.atb.npu_multi_head_latent_attention(
        nope.npu(), rope.npu(), pages.key[..., :32].contiguous().npu(),
        pages.key[..., 32:].contiguous().npu(), pages.table.npu(), pages.lengths, 2, 0.2, 1,
    )  # fmt: skip
    expected = []
    for i in range(2):
        keys = pages.sequence(pages.key, i)
        expected.append(_attention(q[i : i + 1], keys, keys[..., :32], 0.2))
    _close(out, torch.cat(expected))


def test_latent_attention_of_several_queries_returns_its_denominator():
    pages = _Pages([20, 33], 1, 40, 1, torch.float16)
    nope, rope = _latent(5, torch.float16)
    q = torch.cat([nope, rope], -1)
    out, lse = torch_npu.atb.npu_multi_head_latent_attention(
        nope.npu(), rope.npu(), pages.key[..., :32].contiguous().npu(),
        pages.key[..., 32:].contiguous().npu(), pages.table.npu(), pages.lengths, 2, 0.2, 1,
        return_lse=True, qseqlen=[2, 3], mask_type="mask_type_spec", calc_type="calc_type_ring",
    )  # fmt: skip
    for i, (begin, end) in enumerate([(0, 2), (2, 5)]):
        keys, hidden = pages.sequence(pages.key, i), _above(end - begin, pages.lengths[i])
        _close(out[begin:end], _attention(q[begin:end], keys, keys[..., :32], 0.2, hidden=hidden))
        scores = torch.einsum("qhd,kd->qhk", q[begin:end].float(), keys[:, 0].float()) * 0.2
        scores = scores.masked_fill(hidden[:, None], float("-inf"))
        _close(lse[begin:end, :, 0], scores.logsumexp(-1))


def test_ring_attention_merges_shares_of_the_keys():
    lengths, shares = [3, 4], [[6, 5], [2, 9]]
    q = _latent(7, torch.float16)
    parts = []
    for seed, share in enumerate(shares):
        k = _latent(sum(share), torch.float16, seed=10 * seed + 20)
        parts.append((*k, values(sum(share), 2, 24, dtype=torch.float16, seed=seed), share))

    out = lse = None
    mask = torch.zeros(512, 512, dtype=torch.float16).npu()
    for k_nope, k_rope, value, share in parts:
        out, lse = torch_npu.atb.npu_ring_mla(
            *(t.npu() for t in (*q, k_nope, k_rope, value)), mask,
            torch.tensor([lengths, share], dtype=torch.int32), 2, 2, pre_out=out, prev_lse=lse,
            qk_scale=0.2, calc_type="calc_type_first_ring" if out is None else "calc_type_default",
        )  # fmt: skip

    queries = torch.cat(q, -1).split(lengths)
    for i, actual in enumerate(out.split(lengths)):
        key = torch.cat([torch.cat([n, r], -1).split(s)[i] for n, r, _, s in parts])
        value = torch.cat([v.split(s)[i] for _, _, v, s in parts])
        _close(actual, _attention(queries[i], key, value, 0.2))


def test_ring_attention_with_a_triangle():
    nope, rope = _latent(9, torch.bfloat16)
    k_nope, k_rope = _latent(9, torch.bfloat16, seed=5)
    value = values(9, 2, 32, dtype=torch.bfloat16, seed=9)
    mask = torch.ones(512, 512, dtype=torch.bfloat16).triu(1)
    out, _ = torch_npu.atb.npu_ring_mla(
        *(t.npu() for t in (nope, rope, k_nope, k_rope, value, mask)), _int32(9), 2, 2,
        qk_scale=0.2, mask_type="mask_type_triu",
    )  # fmt: skip
    q, k = torch.cat([nope, rope], -1), torch.cat([k_nope, k_rope], -1)
    _close(out, _attention(q, k, value, 0.2, hidden=_above(9, 9)))


@pytest.mark.parametrize(("queries", "keys"), [(2, 4), (9, 3), (700, 600)])
@pytest.mark.parametrize("each", [False, True], ids=["one mask", "a mask each"])
def test_ring_attention_hides_what_its_mask_hides(queries, keys, each):
    """As op-plugin's test has it, query i sees keys 0 to i, however many keys there are."""
    nope, rope = _latent(2 * queries, torch.float16)
    k_nope, k_rope = _latent(2 * keys, torch.float16, seed=5)
    value = values(2 * keys, 2, 32, dtype=torch.float16, seed=9)
    mask = torch.full((512, 512), -10000.0, dtype=torch.float16).triu(1)
    out, lse = torch_npu.atb.npu_ring_mla(
        *(t.npu() for t in (nope, rope, k_nope, k_rope, value)),
        (mask.expand(2, 512, 512).contiguous() if each else mask).npu(),
        torch.tensor([[queries] * 2, [keys] * 2], dtype=torch.int32), 2, 2,
        qk_scale=0.2, mask_type="mask_type_triu",
    )  # fmt: skip
    q, k = torch.cat([nope, rope], -1), torch.cat([k_nope, k_rope], -1)
    hidden = torch.ones(queries, keys, dtype=torch.bool).triu(1)
    for i in range(2):
        rows, columns = slice(i * queries, (i + 1) * queries), slice(i * keys, (i + 1) * keys)
        _close(out[rows], _attention(q[rows], k[columns], value[columns], 0.2, hidden=hidden))
        scores = torch.einsum("qhd,khd->hqk", q[rows].float(), k[columns].float()) * 0.2
        expected = scores.masked_fill(hidden, float("-inf")).logsumexp(-1)
        torch.testing.assert_close(lse[:, rows].cpu(), expected, rtol=1e-4, atol=1e-4)


def test_ring_attention_reads_a_mask_that_is_no_triangle():
    nope, rope = _latent(3, torch.bfloat16)
    k_nope, k_rope = _latent(5, torch.bfloat16, seed=5)
    value = values(5, 2, 32, dtype=torch.bfloat16, seed=9)
    hidden = torch.tensor([[0, 1, 1, 0, 1], [0, 0, 0, 0, 1], [1, 1, 1, 1, 0]]).bool()
    mask = torch.zeros(512, 512, dtype=torch.bfloat16)
    mask[:3, :5] = hidden.bfloat16()
    out, _ = torch_npu.atb.npu_ring_mla(
        *(t.npu() for t in (nope, rope, k_nope, k_rope, value, mask)),
        torch.tensor([[3], [5]], dtype=torch.int32), 2, 2,
        qk_scale=0.2, mask_type="mask_type_triu",
    )  # fmt: skip
    q, k = torch.cat([nope, rope], -1), torch.cat([k_nope, k_rope], -1)
    _close(out, _attention(q, k, value, 0.2, hidden=hidden))


def test_latent_attention_reads_a_mask_with_a_row_for_every_query():
    pages = _Pages([20, 33], 1, 40, 1, torch.float16)
    nope, rope = _latent(5, torch.float16)
    q = torch.cat([nope, rope], -1)
    hidden = torch.rand(5, 33, generator=torch.Generator().manual_seed(1)) > 0.5
    hidden[:, 0] = False
    out = torch_npu.atb.npu_multi_head_latent_attention(
        nope.npu(), rope.npu(), pages.key[..., :32].contiguous().npu(),
        pages.key[..., 32:].contiguous().npu(), pages.table.npu(), pages.lengths, 2, 0.2, 1,
        mask=(hidden * -10000.0).half().npu(), qseqlen=[2, 3], mask_type="mask_type_spec",
        calc_type="calc_type_spec",
    )  # fmt: skip
    for i, (begin, end) in enumerate([(0, 2), (2, 5)]):
        keys = pages.sequence(pages.key, i)
        part = hidden[begin:end, : pages.lengths[i]]
        _close(out[begin:end], _attention(q[begin:end], keys, keys[..., :32], 0.2, hidden=part))


def test_self_attention_to_a_paged_prefix():
    lengths, queries = [24, 9], [5, 9]
    pages = _Pages(lengths, 2, 16, 16, torch.float16)
    q = values(14, 4, 16, dtype=torch.float16)
    out = torch_npu.atb.npu_self_attention_prefix_encoder(
        q.npu(), pages.key.npu(), pages.value.npu(), pages.table.npu(), queries, lengths, 4, 0.25, 2
    )
    expected = [
        pages.attend(part, i, 0.25, hidden=_above(queries[i], lengths[i]))
        for i, part in enumerate(q.split(queries))
    ]
    _close(out, torch.cat(expected))


def test_a_cache_is_loaded_sequence_by_sequence():
    pages = _Pages([20, 5, 33], 2, 8, 12, torch.float16)
    key, value = torch_npu.atb.npu_paged_cache_load(
        pages.key.npu(), pages.value.npu(), pages.table.npu(), _int32(*pages.lengths).npu()
    )
    assert torch.equal(key.cpu(), torch.cat([pages.sequence(pages.key, i) for i in range(3)]))
    assert torch.equal(value.cpu(), torch.cat([pages.sequence(pages.value, i) for i in range(3)]))


def test_a_cache_is_loaded_from_where_sequences_start():
    pages = _Pages([40, 48], 1, 8, 8, torch.float16)
    starts, counts = [16, 32], [20, 16]
    key, _ = torch_npu.atb.npu_paged_cache_load(
        pages.key.npu(), pages.value.npu(), pages.table.npu(), _int32(0, 20, 36).npu(),
        seq_starts=_int32(*starts).npu(), cumsum=True,
    )  # fmt: skip
    expected = [
        pages.sequence(pages.key, i)[start : start + count]
        for i, (start, count) in enumerate(zip(starts, counts, strict=True))
    ]
    assert torch.equal(key.cpu(), torch.cat(expected))


@pytest.mark.parametrize("dtype", [*HALVES, torch.float32], ids=str)
def test_gating_chooses_within_the_best_groups(dtype):
    x, bias = values(6, 64, dtype=dtype), values(64, dtype=dtype, seed=1)
    weights, experts = torch_npu.atb.npu_fused_add_topk_div(
        x.npu(), bias.npu(), activation_type="activation_sigmoid", group_num=8, group_topk=4, n=2,
        k=6, is_norm=True, scale=2.5,
    )  # fmt: skip
    sigmoid = x.float().sigmoid()
    scores = (sigmoid + bias.float()).view(6, 8, 8)
    best = scores.topk(2).values.sum(-1).topk(4).indices
    hidden = torch.ones(6, 8, dtype=torch.bool).scatter_(1, best, False)
    chosen = scores.masked_fill(hidden[..., None], float("-inf")).view(6, 64).topk(6).indices
    expected = sigmoid.gather(1, chosen)
    assert torch.equal(experts.cpu().long(), chosen)
    torch.testing.assert_close(
        weights.cpu(), expected / expected.sum(-1, keepdim=True) * 2.5, rtol=1e-4, atol=1e-5
    )
