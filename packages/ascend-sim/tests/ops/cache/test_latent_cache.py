# SPDX-License-Identifier: Apache-2.0
"""The cache of multi-head latent attention against the formulas of npu_kv_rmsnorm_rope_cache."""

import pytest
import torch
import torch_npu
from support.oracle import values

LATENT, ROPE, BLOCK = 512, 64, 16
BATCH, TOKENS = 3, 5
LIMIT = {torch.bfloat16: 3e-2, torch.float16: 4e-3}


def _normalize(x, gamma):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gamma.float()


def _rotate(x, cos, sin):
    """Pairs side by side become halves, which are rotated."""
    x = x.float().unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    first, second = x.chunk(2, -1)
    return x * cos.float() + torch.cat([-second, first], -1) * sin.float()


def _inputs(dtype, size=LATENT + ROPE, gamma=LATENT):
    return [
        values(BATCH, 1, TOKENS, size, dtype=dtype),
        values(gamma, dtype=dtype, seed=1),
        values(BATCH, 1, TOKENS, ROPE, dtype=dtype, seed=2),
        values(BATCH, 1, TOKENS, ROPE, dtype=dtype, seed=3),
    ]


def _slots(mode):
    """Indices for a mode, and the slot in the whole cache for every token (None: skipped)."""
    tokens = torch.arange(BATCH * TOKENS).view(BATCH, TOKENS)
    if mode == "Norm":
        index = (tokens % TOKENS * 3 + 1).clone()
        index[1, 2] = -1
        return index, [[None if i < 0 else b * BLOCK + i for i in row]
                       for b, row in enumerate(index.tolist())]  # fmt: skip
    if "BLK" in mode:  # every sequence is shorter than a block
        index = torch.tensor([2 * BLOCK, -1, 0])
        return index, [[None if first < 0 else first + i for i in range(TOKENS)]
                       for first in index.tolist()]  # fmt: skip
    index = torch.randperm(BATCH * BLOCK, generator=torch.Generator().manual_seed(5))
    index = index[: BATCH * TOKENS].clone()
    index[4] = -1
    slots = [None if i < 0 else i for i in index.tolist()]
    return index, [slots[b * TOKENS : (b + 1) * TOKENS] for b in range(BATCH)]


def _empty(mode, size, dtype):
    shape = (BATCH, 1, BLOCK, size) if mode == "Norm" else (BATCH, BLOCK, 1, size)
    return torch.full(shape, 9, dtype=dtype)


def _tokens_of(cache, mode):
    """A cache as [slots, size]."""
    if not mode.endswith("NZ"):
        return cache.cpu().flatten(0, 2)
    c = 32 if cache.dtype == torch.int8 else 16
    size = cache.size(-1)
    return cache.cpu().view(-1, size // c, BLOCK, c).transpose(1, 2).reshape(-1, size)


MODES = ["Norm", "PA", "PA_BNSD", "PA_NZ", "PA_BLK_BNSD", "PA_BLK_NZ"]


@pytest.mark.parametrize("dtype", LIMIT, ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_rows_are_normalized_or_rotated_and_land_in_their_slots(mode, dtype):
    kv, gamma, cos, sin = _inputs(dtype)
    index, slots = _slots(mode)
    caches = [_empty(mode, size, dtype) for size in (ROPE, LATENT)]
    k_cache, ckv_cache, k_rope, c_kv = torch_npu.npu_kv_rmsnorm_rope_cache(
        *(t.npu() for t in (kv, gamma, cos, sin, index, *caches)),
        cache_mode=mode,
        is_output_kv=mode != "Norm",
    )
    rows = [_rotate(kv[..., LATENT:], cos, sin), _normalize(kv[..., :LATENT], gamma)]
    for actual, size, expected in zip((k_cache, ckv_cache), (ROPE, LATENT), rows, strict=True):
        whole = torch.full((BATCH * BLOCK, size), 9.0)
        for b, row in enumerate(slots):
            for token, slot in enumerate(row):
                if slot is not None:
                    whole[slot] = expected[b, 0, token]
        limit = LIMIT[dtype]
        torch.testing.assert_close(
            _tokens_of(actual, mode), whole.to(dtype), rtol=limit, atol=limit
        )
    if mode != "Norm":
        for actual, expected in zip((k_rope, c_kv), rows, strict=True):
            torch.testing.assert_close(
                actual.cpu(), expected.to(dtype), rtol=LIMIT[dtype], atol=LIMIT[dtype]
            )


@pytest.mark.parametrize("mode", ["PA_BNSD", "PA_NZ"])
def test_a_quantized_cache_holds_rounded_int8(mode):
    kv, gamma, cos, sin = _inputs(torch.float16)
    index, slots = _slots(mode)
    scales = [values(size, seed=7).abs() * 20 for size in (ROPE, LATENT)]
    caches = [_empty(mode, size, torch.int8) for size in (ROPE, LATENT)]
    results = torch_npu.npu_kv_rmsnorm_rope_cache(
        *(t.npu() for t in (kv, gamma, cos, sin, index, *caches)),
        k_rope_scale=scales[0].npu(),
        c_kv_scale=scales[1].npu(),
        cache_mode=mode,
    )[:2]
    rows = [_rotate(kv[..., LATENT:], cos, sin), _normalize(kv[..., :LATENT], gamma)]
    for actual, scale, expected in zip(results, scales, rows, strict=True):
        quantized = (expected * scale).round().clamp(-128, 127)
        tokens = _tokens_of(actual, mode).float()
        for b, row in enumerate(slots):
            for token, slot in enumerate(row):
                if slot is not None:
                    assert (tokens[slot] - quantized[b, 0, token]).abs().max() <= 1
    exact = sum(
        (_tokens_of(r, mode)[slots[0][0]] == (e * s).round().clamp(-128, 127)[0, 0, 0]).sum()
        for r, s, e in zip(results, scales, rows, strict=True)
    )
    assert exact > 0.99 * (LATENT + ROPE)  # the rest were within rounding of .5


def test_the_second_version_normalizes_all_and_stores_v_as_it_is():
    kv, gamma, cos, sin = _inputs(torch.float16, size=192, gamma=192)
    v = values(BATCH, 1, TOKENS, 128, dtype=torch.float16, seed=4)
    index, slots = _slots("PA_BNSD")
    caches = [_empty("PA_BNSD", size, torch.float16) for size in (192, 128)]
    k_cache, v_cache, k_rope, c_kv = torch_npu.npu_kv_rmsnorm_rope_cache(
        *(t.npu() for t in (kv, gamma, cos, sin, index, *caches)),
        v=v.npu(),
        cache_mode="PA_BNSD",
        is_output_kv=True,
    )
    normalized = _normalize(kv, gamma)
    key = torch.cat([_rotate(normalized[..., :ROPE], cos, sin), normalized[..., ROPE:]], -1)
    torch.testing.assert_close(k_rope.cpu(), key.half(), rtol=4e-3, atol=4e-3)
    assert torch.equal(c_kv.cpu(), v)
    slot = slots[2][1]
    torch.testing.assert_close(
        k_cache.cpu().flatten(0, 2)[slot], key[2, 0, 1].half(), rtol=4e-3, atol=4e-3
    )
    assert torch.equal(v_cache.cpu().flatten(0, 2)[slot], v[2, 0, 1])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"cache_mode": "PA_XY"}, "cacheMode 'PA_XY' must be Norm"),
        ({"dtype": torch.float32}, "kv must be float16 or bfloat16"),
        ({"gamma": 256}, "gamma must have 512 elements"),
        ({"index": torch.int32}, "index must be int64"),
    ],
    ids=str,
)
def test_what_a_device_refuses_is_refused(change, text):
    """npu_kv_rmsnorm_rope_cache.md, parameters."""
    latent, dtype = change.get("gamma", LATENT), change.get("dtype", torch.float16)
    inputs = _inputs(dtype, latent + ROPE, latent)
    caches = [_empty("PA", size, dtype) for size in (ROPE, latent)]
    index = _slots("PA")[0].to(change.get("index", torch.int64))
    with pytest.raises(RuntimeError, match=text):
        _run([*inputs, index, *caches], change.get("cache_mode", "PA"))


def _run(tensors, mode):
    torch_npu.npu_kv_rmsnorm_rope_cache(*(t.npu() for t in tensors), cache_mode=mode)
    torch.npu.synchronize()
