# SPDX-License-Identifier: Apache-2.0
"""`npu_qkv_rms_norm_rope_cache` against the formulas of its page, written out for each token."""

import pytest
import torch
import torch_npu
from support.oracle import run_and_wait, values

BLOCKS, BLOCK, SIZE = 4, 32, 128
QUERIES, KEYS = 4, 2
EPSILON = 1e-5


def _norm(x, gamma):
    return x / torch.sqrt(x.square().mean(-1, keepdim=True) + EPSILON) * gamma


def _rope(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos[:, None] + torch.cat((-second, first), -1) * sin[:, None]


def _quantized(x, scale, offset):
    if scale is None:
        return x
    x = x / scale + (0 if offset is None else offset)
    return x.round().clamp(-128, 127)


def _tokens(cache):
    """What the slots of a cache in fractals hold: [slots, heads * size]."""
    return cache.cpu().permute(0, 2, 1, 3).reshape(BLOCKS * BLOCK, -1)


class Inputs:
    """Two sequences of three tokens, one of which has no slot."""

    def __init__(self, dtype=torch.float16, quantized=False, offset=False, size=SIZE, block=BLOCK):
        tokens, heads = 6, QUERIES + 2 * KEYS
        self.qkv = values(tokens, heads * size, dtype=dtype)
        self.gammas = [values(size, dtype=dtype, seed=seed) for seed in (1, 2)]
        self.angles = [values(tokens, size, dtype=dtype, seed=seed) for seed in (3, 4)]
        self.index = torch.tensor([5, -1, 0, 40, 127, 64])
        pieces, stored = (32, torch.int8) if quantized else (16, dtype)
        shape = (BLOCKS, KEYS * size // pieces, block, pieces)
        self.caches = [torch.full(shape, 9, dtype=stored).npu() for _ in range(2)]
        self.q_out = torch.zeros(tokens, QUERIES * size, dtype=dtype).npu()
        self.sizes = ([2, 3, heads, size], [QUERIES, KEYS, KEYS])
        given = [0.05 + values(KEYS, size, seed=seed).abs() for seed in (5, 6)]
        self.scales = given if quantized else [None, None]
        shifts = [3 * values(KEYS, size, seed=seed) for seed in (7, 8)]
        self.offsets = shifts if offset else [None, None]

    def run(self, **changed):
        to_npu = lambda t: None if t is None else t.npu()  # noqa: E731
        tensors = (self.qkv, *self.gammas, *self.angles, self.index)
        names = ("k_scale", "v_scale", "k_offset", "v_offset")
        factors = dict(zip(names, map(to_npu, (*self.scales, *self.offsets)), strict=True))
        options = {"epsilon": EPSILON, "is_output_qkv": True} | factors | changed
        return run_and_wait(
            torch_npu.npu_qkv_rms_norm_rope_cache,
            *map(to_npu, tensors), self.q_out, *self.caches, *self.sizes, **options,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("dtype", "quantized", "offset"),
    [
        (torch.float16, False, False),
        (torch.bfloat16, False, False),
        (torch.float16, True, False),
        (torch.bfloat16, True, True),
    ],
    ids=["float16", "bfloat16", "int8", "int8 with offset"],
)
def test_queries_come_out_and_keys_and_values_go_to_their_slots(dtype, quantized, offset):
    inputs = Inputs(dtype, quantized, offset)
    results = inputs.run()
    rows = inputs.qkv.float().view(6, -1, SIZE)
    gammas, (cos, sin) = [g.float() for g in inputs.gammas], [a.float() for a in inputs.angles]
    query = _rope(_norm(rows[:, :QUERIES], gammas[0]), cos, sin)
    key = _rope(_norm(rows[:, QUERIES : QUERIES + KEYS], gammas[1]), cos, sin)
    value = rows[:, QUERIES + KEYS :]
    limit = 1e-2 if dtype == torch.bfloat16 else 2e-3
    for got, want in zip([inputs.q_out, *results], [query, query, key, value], strict=True):
        assert got.dtype == dtype
        torch.testing.assert_close(got.cpu().float(), want.flatten(1), rtol=limit, atol=limit)
    factors = zip(inputs.scales, inputs.offsets, strict=True)
    for cache, rows, (scale, shift) in zip(inputs.caches, (key, value), factors, strict=True):
        stored = _quantized(rows, scale, shift).flatten(1)
        tokens = _tokens(cache).float()
        expected = torch.full_like(tokens, 9)
        for slot, row in zip(inputs.index.tolist(), stored, strict=True):
            if slot >= 0:
                expected[slot] = row
        if quantized:  # a number halfway between two integers may go either way
            assert (tokens - expected).abs().max() <= 1
            assert (tokens != expected).float().mean() < 1e-3
        else:
            torch.testing.assert_close(tokens, expected, rtol=limit, atol=limit)


def test_what_was_computed_before_quantization_is_only_given_if_wanted():
    assert all(t is None or t.numel() == 0 for t in Inputs().run(is_output_qkv=False))


def _with(change):
    inputs = Inputs()
    change(inputs)
    return inputs


WRONG = {
    "cacheMode must be 'PA_NZ', got 'PA'": lambda: Inputs().run(cache_mode="PA"),
    "D must be 128, got 64": lambda: Inputs(size=64).run(),
    "block size of kCache must be a multiple of 16, got 8": lambda: Inputs(block=8).run(),
    "kCache must be int8 with its scale": lambda: Inputs().run(
        k_scale=torch.ones(KEYS, SIZE).npu()
    ),
    r"qkv must be \[B \* S, N \* D\]": lambda: _with(
        lambda i: setattr(i, "sizes", ([2, 2, 8, SIZE], [4, 2, 2]))
    ).run(),
    "as many keys as values": lambda: _with(
        lambda i: setattr(i, "sizes", ([2, 3, 8, SIZE], [4, 3, 1]))
    ).run(),
    "index must have 6 elements": lambda: _with(lambda i: setattr(i, "index", i.index[1:])).run(),
    "index must be int64, got int32": lambda: _with(
        lambda i: setattr(i, "index", i.index.int())
    ).run(),
    "qkv must be float16 or bfloat16, got float32": lambda: Inputs(torch.float32).run(),
    "kCache must have a block for every 32 tokens": lambda: _with(
        lambda i: setattr(i, "caches", [c[:1] for c in i.caches])
    ).run(),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_does_not_fit_is_refused(text):
    """aclnnQkvRmsNormRopeCache.md, parameters and constraints."""
    with pytest.raises(RuntimeError, match=text):
        WRONG[text]()
