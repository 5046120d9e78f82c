# SPDX-License-Identifier: Apache-2.0
"""What comes before multi-head latent attention, against the documented formulas, at small sizes.

Products of a device take operands that are rounded; here the limits of a result are wide enough
for one rounding of each.
"""

import pytest
import torch
import torch_npu
from support.oracle import run_and_wait, values

pytestmark = [pytest.mark.usefixtures("internal_formats"), pytest.mark.device_limits("off")]

HIDDEN, QUERY, HEADS, SIZE, LATENT, ROPE = 48, 32, 2, 16, 32, 32
BLOCK, BLOCKS = 16, 3
BF16 = torch.bfloat16
NZ = 29
EPSILON = 1e-5


def _weights():
    shapes = {
        "weight_dq": (HIDDEN, QUERY),
        "weight_uq_qr": (QUERY, HEADS * (SIZE + ROPE)),
        "weight_uk": (HEADS, SIZE, LATENT),
        "weight_dkv_kr": (HIDDEN, LATENT + ROPE),
    }
    return {
        name: (values(*shape, seed=seed) / shape[-2] ** 0.5).to(BF16)
        for seed, (name, shape) in enumerate(shapes.items(), start=1)
    }


def _inputs(*tokens):
    count = torch.Size(tokens).numel()
    angles = values(*tokens, ROPE // 2, seed=9)
    return {
        "token_x": values(*tokens, HIDDEN).to(BF16),
        **_weights(),
        "rmsnorm_gamma_cq": (values(QUERY, seed=6).abs() + 0.5).to(BF16),
        "rmsnorm_gamma_ckv": (values(LATENT, seed=7).abs() + 0.5).to(BF16),
        "rope_sin": torch.cat([angles, angles], -1).sin().to(BF16),
        "rope_cos": torch.cat([angles, angles], -1).cos().to(BF16),
        "cache_index": (torch.arange(count) * 5 % (BLOCK * BLOCKS)).view(tokens),
        "kv_cache": torch.zeros(BLOCKS, BLOCK, 1, LATENT, dtype=BF16),
        "kr_cache": torch.zeros(BLOCKS, BLOCK, 1, ROPE, dtype=BF16),
    }


def _norm(x, gamma):
    return x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * gamma.float()


def _rope(x, cos, sin):
    """Pairs lie side by side; their first elements come to lie in one half."""
    first, second = x[..., 0::2], x[..., 1::2]
    halves, turned = torch.cat([first, second], -1), torch.cat([-second, first], -1)
    return halves * cos.float() + turned * sin.float()


def _expected(a, x=None, query_factor=1.0, key_factor=1.0):
    """Query, its rotated part, and the latent and the rotated row of every token, in fp32."""
    x = a["token_x"].float() if x is None else x
    normalized = _norm(x @ a["weight_dq"].float(), a["rmsnorm_gamma_cq"]) * query_factor
    heads = (normalized @ a["weight_uq_qr"].float()).unflatten(-1, (HEADS, SIZE + ROPE))
    cos, sin = a["rope_cos"], a["rope_sin"]
    query = torch.einsum("...nd,ndl->...nl", heads[..., :SIZE], a["weight_uk"].float())
    query_rope = _rope(heads[..., SIZE:], cos.unsqueeze(-2), sin.unsqueeze(-2))
    key = x @ a["weight_dkv_kr"].float()
    latent = _norm(key[..., :LATENT], a["rmsnorm_gamma_ckv"]) * key_factor
    return normalized, query, query_rope, latent, _rope(key[..., LATENT:], cos, sin)


def _near(actual, expected, limit=3e-2):
    torch.testing.assert_close(actual.cpu().float(), expected, rtol=limit, atol=limit)


def _on_npu(a, fractal=True):
    return {
        name: torch_npu.npu_format_cast(value.npu(), NZ)
        if fractal and name in ("weight_dq", "weight_uq_qr", "weight_dkv_kr")
        else value.npu()
        for name, value in a.items()
    }


def _rows(cache, index):
    return cache.cpu().flatten(0, 2)[index.flatten()]


@pytest.mark.parametrize("tokens", [(5,), (2, 3)], ids=["T", "BS"])
@pytest.mark.parametrize("fractal", [True, False], ids=["NZ", "ND"])
def test_queries_and_rows_of_the_cache(tokens, fractal):
    a = _inputs(*tokens)
    on_npu = _on_npu(a, fractal)
    query, query_rope, *_ = torch_npu.npu_mla_prolog_v2(**on_npu)
    _, want_query, want_rope, latent, key_rope = _expected(a)
    assert query.shape == (*tokens, HEADS, LATENT)
    _near(query, want_query)
    _near(query_rope, want_rope)
    _near(_rows(on_npu["kv_cache"], a["cache_index"]), latent.flatten(0, -2))
    _near(_rows(on_npu["kr_cache"], a["cache_index"]), key_rope.flatten(0, -2))
    untouched = sorted(set(range(BLOCK * BLOCKS)) - set(a["cache_index"].flatten().tolist()))
    assert not on_npu["kv_cache"].cpu().flatten(0, 2)[untouched].any()


def test_a_cache_in_blocks_of_16_columns():
    a = _inputs(5)
    on_npu = _on_npu(a)
    torch_npu.npu_mla_prolog_v2(**on_npu, cache_mode="PA_NZ")
    *_, latent, key_rope = _expected(a)
    for name, rows in (("kv_cache", latent), ("kr_cache", key_rope)):
        blocks = on_npu[name].cpu().view(BLOCKS, -1, BLOCK, 16)  # block, columns / 16, row, 16
        _near(blocks.transpose(1, 2).flatten(2).flatten(0, 1)[a["cache_index"]], rows)


def _quantized(matrix):
    """int8 and the scales of the columns."""
    scale = matrix.float().abs().amax(0, keepdim=True) / 127
    return (matrix.float() / scale).round().to(torch.int8), scale


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("cached", [False, True], ids=["bf16 cache", "int8 cache"])
def test_the_second_weight_quantized(smooth, cached):
    a = _inputs(5)
    a["weight_uq_qr"], a["dequant_scale_w_uq_qr"] = _quantized(a["weight_uq_qr"])
    whole = a["weight_uq_qr"].float() * a["dequant_scale_w_uq_qr"]
    if smooth:
        a["smooth_scales_cq"] = values(1, QUERY, seed=3).abs() + 0.5
    if cached:
        a["quant_scale_ckv"] = torch.full((1, LATENT), 40.0)
        a["quant_scale_ckr"] = torch.full((1, ROPE), 30.0)
        a |= {name: a[name].to(torch.int8) for name in ("kv_cache", "kr_cache")}
    on_npu = _on_npu(a)
    query, query_rope, *_ = torch_npu.npu_mla_prolog_v2(**on_npu)
    if smooth:  # what is quantized is the norm times the scales
        whole = a["smooth_scales_cq"].t() * whole
    _, want_query, want_rope, latent, key_rope = _expected(a | {"weight_uq_qr": whole})
    _near(query, want_query, 6e-2)
    _near(query_rope, want_rope, 6e-2)
    if cached:
        got = _rows(on_npu["kv_cache"], a["cache_index"]).float()
        assert (got - (latent * 40).clamp(-128, 127)).abs().max() <= 0.51
        got = _rows(on_npu["kr_cache"], a["cache_index"]).float()
        assert (got - (key_rope * 30).clamp(-128, 127)).abs().max() <= 0.51


@pytest.mark.parametrize("cached", [False, True], ids=["bf16 cache", "int8 cache"])
def test_all_products_quantized(cached):
    a = _inputs(5)
    for name in ("dq", "uq_qr", "dkv_kr"):
        a[f"weight_{name}"], a[f"dequant_scale_w_{name}"] = _quantized(a[f"weight_{name}"])
    columns = a["token_x"].float().abs().amax(1, keepdim=True) / 127
    a["token_x"] = (a["token_x"].float() / columns).round().to(torch.int8)
    a["dequant_scale_x"] = columns
    if cached:
        a["quant_scale_ckv"] = torch.full((1,), 40.0)
        a["kv_cache"] = a["kv_cache"].to(torch.int8)
    on_npu = _on_npu(a)
    query, query_rope, _, _, scale = torch_npu.npu_mla_prolog_v2(**on_npu)
    whole = {
        f"weight_{name}": a[f"weight_{name}"].float() * a[f"dequant_scale_w_{name}"]
        for name in ("dq", "uq_qr", "dkv_kr")
    }
    _, want_query, want_rope, latent, _ = _expected(a | whole, a["token_x"].float() * columns)
    if cached:  # a scale for every token and head
        assert query.dtype == torch.int8
        query = query.cpu().float() * scale.cpu()
        got = _rows(on_npu["kv_cache"], a["cache_index"]).float()
        assert (got - (latent * 40).clamp(-128, 127)).abs().max() <= 0.51
    _near(query, want_query, 8e-2)
    _near(query_rope, want_rope, 8e-2)


def test_the_third_version_with_factors_and_the_norm():
    a = _inputs(2, 3)
    on_npu = _on_npu(a)
    query, query_rope, _, norm, _ = torch_npu.npu_mla_prolog_v3(
        **on_npu, query_norm_flag=True, qc_qr_scale=2.0, kc_scale=0.5
    )
    want_norm, want_query, want_rope, latent, _ = _expected(a, None, 2.0, 0.5)
    _near(query, want_query, 6e-2)
    _near(query_rope, want_rope, 6e-2)
    _near(norm, want_norm)
    _near(_rows(on_npu["kv_cache"], a["cache_index"]), latent.flatten(0, -2))


@pytest.mark.parametrize(("mode", "tokens"), [("BSND", (2, 3)), ("TND", (5,))])
def test_a_cache_of_these_tokens_only(mode, tokens):
    a = _inputs(*tokens)
    del a["cache_index"]
    a["kv_cache"] = torch.zeros(*tokens, 1, LATENT, dtype=BF16)
    a["kr_cache"] = torch.zeros(*tokens, 1, ROPE, dtype=BF16)
    on_npu = _on_npu(a)
    torch_npu.npu_mla_prolog_v3(**on_npu, cache_mode=mode)
    *_, latent, key_rope = _expected(a)
    _near(on_npu["kv_cache"].squeeze(-2), latent)
    _near(on_npu["kr_cache"].squeeze(-2), key_rope)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cache_mode": "Norm"}, "cacheMode 'Norm' must be one of PA_BSND, PA_NZ"),
        ({"rope_sin": torch.zeros(4, ROPE, dtype=BF16)}, "must have a row for each of tokenX"),
        ({"weight_dkv_kr": torch.zeros(HIDDEN, LATENT, dtype=BF16)}, "weightDkvKr must be"),
        ({"dequant_scale_w_dq": torch.ones(1, QUERY)}, "the scale of weightDq must be given"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_the_prologue_refuses(change, text):
    change = {k: v.npu() if isinstance(v, torch.Tensor) else v for k, v in change.items()}
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_mla_prolog_v2, **_on_npu(_inputs(5), fractal=False) | change)
