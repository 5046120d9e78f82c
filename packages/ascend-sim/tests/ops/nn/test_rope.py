# SPDX-License-Identifier: Apache-2.0
"""Rotary position embedding against the formula of its documentation."""

import pytest
import torch
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, run_and_wait, values

_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def _close(actual, expected):
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)


def _rotate(x, mode):
    if mode == "half":
        x1, x2 = x.chunk(2, -1)
        return torch.cat((-x2, x1), -1)
    return torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2)


def _cache(positions, rotary):
    angles = torch.outer(
        torch.arange(positions).float(), 100.0 ** -torch.linspace(0, 1, rotary // 2)
    )
    return torch.cat((angles.cos(), angles.sin()), -1)


def _reference(x, cos, sin, mode, head_size):
    """Rotate [tokens, heads * head_size] by cos and sin [tokens, rotary / 2]."""
    heads = x.float().view(x.size(0), -1, head_size)
    rotary = 2 * cos.size(-1)
    if mode == "half":
        cos, sin = torch.cat((cos, cos), -1), torch.cat((sin, sin), -1)
    else:
        cos, sin = cos.repeat_interleave(2, -1), sin.repeat_interleave(2, -1)
    first = heads[..., :rotary]
    first = first * cos.unsqueeze(1) + _rotate(first, mode) * sin.unsqueeze(1)
    return torch.cat((first, heads[..., rotary:]), -1).view(x.size())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", ["half", "interleave"])
@pytest.mark.parametrize("size", [32, 64])
def test_rope_by_position_leaves_the_rest_of_a_head(dtype, mode, size):
    positions, rotary = torch.tensor([0, 7, 3, 19]), 32
    query, key = values(4, 4 * size, dtype=dtype), values(4, 2 * size, dtype=dtype, seed=1)
    cache = _cache(20, rotary).to(dtype)
    q, k = torch_npu.npu_mrope(
        positions.npu(),
        query.npu(),
        key.npu(),
        cache.npu(),
        size,
        mrope_section=[0, 0, 0],
        rotary_mode=mode,
    )
    cos, sin = cache[positions].float().chunk(2, -1)
    _close(q, _reference(query, cos, sin, mode, size))
    _close(k, _reference(key, cos, sin, mode, size))


def test_rope_reads_strided_query_and_key():
    # As they come out of a fused projection: columns of one matrix.
    qkv, cache, positions = values(3, 96), _cache(9, 16), torch.tensor([1, 2, 8])
    on_npu = qkv.npu()
    q, k = torch_npu.npu_mrope(
        positions.npu(), on_npu[:, :32], on_npu[:, 32:64], cache.npu(), 16, mrope_section=[0, 0, 0]
    )
    cos, sin = cache[positions].chunk(2, -1)
    _close(q, _reference(qkv[:, :32], cos, sin, "half", 16))
    _close(k, _reference(qkv[:, 32:64], cos, sin, "half", 16))


def test_multimodal_rope_takes_angles_by_section():
    positions = torch.tensor([[0, 1, 2], [4, 5, 6], [7, 8, 9]])
    query, key, cache = values(3, 32), values(3, 16, seed=1), _cache(10, 16)
    q, _ = torch_npu.npu_mrope(
        positions.npu(), query.npu(), key.npu(), cache.npu(), 16, mrope_section=[2, 3, 3]
    )
    parts = [half.split([2, 3, 3], -1) for half in cache[positions].chunk(2, -1)]
    cos, sin = (torch.cat([part[i][i] for i in range(3)], -1) for part in parts)
    _close(q, _reference(query, cos, sin, "half", 16))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", ["half", "interleave"])
def test_rotary_mul_follows_its_formula(dtype, mode):
    x, cos, sin = (
        values(2, 5, 3, 8, dtype=dtype),
        values(1, 5, 1, 8, dtype=dtype, seed=1),
        values(1, 5, 1, 8, dtype=dtype, seed=2),
    )
    actual = torch_npu.npu_rotary_mul(x.npu(), cos.npu(), sin.npu(), rotary_mode=mode)
    _close(actual, x.float() * cos.float() + _rotate(x.float(), mode) * sin.float())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("mode", ["half", "interleave"])
@pytest.mark.parametrize("angles", [(1, 5, 1, 8), (2, 5, 1, 8), (2, 5, 3, 8)], ids=str)
def test_gradients_of_rotary_mul(dtype, mode, angles):
    if mode == "interleave" and angles[0] != 1:
        angles = (1, 1, 3, 8)
    x, weights = values(2, 5, 3, 8, dtype=dtype), values(2, 5, 3, 8, dtype=dtype, seed=3)
    cos, sin = values(*angles, dtype=dtype, seed=1), values(*angles, dtype=dtype, seed=2)
    leaves = [t.double().requires_grad_() for t in (x, cos, sin)]
    result = leaves[0] * leaves[1] + _rotate(leaves[0], mode) * leaves[2]
    expected = torch.autograd.grad((result * weights).sum(), leaves)
    on_npu = [t.npu().requires_grad_() for t in (x, cos, sin)]
    (torch_npu.npu_rotary_mul(*on_npu, rotary_mode=mode) * weights.npu()).sum().backward()
    for leaf, want in zip(on_npu, expected, strict=True):
        _close(leaf.grad, want)


def test_gradient_of_rotary_mul_of_three_dimensions():
    """test_npu_rotary_mul_backward.py of op-plugin; CANN's page has four only."""
    x, cos, sin = values(4, 8, 8), values(4, 1, 8, seed=1), values(4, 1, 8, seed=2)
    leaves = [t.double().requires_grad_() for t in (x, cos, sin)]
    (leaves[0] * leaves[1] + _rotate(leaves[0], "half") * leaves[2]).sum().backward()
    on_npu = [t.npu().requires_grad_() for t in (x, cos, sin)]
    ones = torch.ones(4, 8, 8).npu()
    actual = torch_npu.npu_rotary_mul_backward(ones, *on_npu)
    for got, leaf in zip(actual, leaves, strict=True):
        _close(got, leaf.grad)


def test_gradient_of_rotary_mul_by_x_alone():
    x, cos, sin = values(2, 5, 3, 8), values(1, 5, 1, 8, seed=1), values(1, 5, 1, 8, seed=2)
    on_npu = x.npu().requires_grad_()
    torch_npu.npu_rotary_mul(on_npu, cos.npu(), sin.npu()).sum().backward()
    leaf = x.double().requires_grad_()
    (leaf * cos + _rotate(leaf, "half") * sin).sum().backward()
    _close(on_npu.grad, leaf.grad)


@pytest.mark.parametrize(
    ("dy", "angles", "mode", "text"),
    [
        ((2, 5, 3, 8), (3, 5, 1, 8), "half", "do not broadcast to dy"),
        ((2, 5, 3, 896), (1, 5, 1, 896), "half", "must be even and less than 896"),
        ((2, 5, 3, 8), (2, 5, 1, 8), "interleave", "cos must have one batch and one head"),
        ((1, 1, 1000, 8), (1, 1, 1, 8), "half", "must be fewer than 1000, got 1000"),
        ((40, 1, 30, 8), (1, 1, 1, 8), "interleave", "fewer than 1000 batches and heads, got 1200"),
    ],
    ids=str,
)
def test_limits_of_the_gradient_of_rotary_mul(dy, angles, mode, text):
    """aclnnRotaryPositionEmbeddingGrad.md, constraints."""
    x, cos = values(*dy).npu(), values(*angles).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_rotary_mul_backward, x, x, cos, cos, mode)


def test_gradients_by_cos_and_sin_are_of_few_batches_and_heads():
    x = values(41, 1, 25, 8).npu()
    cos = values(1, 1, 1, 8).npu().requires_grad_()
    run_and_wait(torch_npu.npu_rotary_mul_backward, x, x, cos.detach(), cos.detach())
    with pytest.raises(RuntimeError, match="at most 1024 batches and heads, got 1025"):
        run_and_wait(torch_npu.npu_rotary_mul_backward, x, x, cos, cos)


def test_apply_rotary_pos_emb_changes_query_and_key_in_place():
    query, key = values(2, 3, 4, 64), values(2, 3, 1, 64, seed=1)
    cos, sin = values(2, 3, 1, 64, seed=2), values(2, 3, 1, 64, seed=3)
    q, k = torch_npu.npu_apply_rotary_pos_emb(
        query.npu(), key.npu(), cos.npu(), sin.npu(), layout="BSND"
    )
    _close(q, query * cos + _rotate(query, "half") * sin)
    _close(k, key * cos + _rotate(key, "half") * sin)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_apply_rotary_pos_emb_of_packed_tokens(dtype):
    """In layout TND tensors have three dimensions."""
    query, key = values(6, 4, 128, dtype=dtype), values(6, 2, 128, dtype=dtype, seed=1)
    cos, sin = (values(6, 1, 128, dtype=dtype, seed=seed) for seed in (2, 3))
    q, k = torch_npu.npu_apply_rotary_pos_emb(
        query.npu(), key.npu(), cos.npu(), sin.npu(), layout="TND"
    )
    _close(q, query.float() * cos.float() + _rotate(query.float(), "half") * sin.float())
    _close(k, key.float() * cos.float() + _rotate(key.float(), "half") * sin.float())


@pytest.mark.parametrize(("shape", "layout"), [((6, 4, 64), "BSND"), ((1, 6, 4, 64), "TND")])
def test_apply_rotary_pos_emb_refuses_the_dimensions_of_the_other_layout(shape, layout):
    x = values(*shape).npu()
    cos = x[..., :1, :].contiguous()
    with pytest.raises(RuntimeError, match="3 dimensions in layout TND and 4 in BSND"):
        run_and_wait(torch_npu.npu_apply_rotary_pos_emb, x, x, cos, cos, layout=layout)


@pytest.mark.parametrize("neox", [True, False])
def test_rope_by_position_by_its_first_name(neox):
    positions, cache = torch.tensor([0, 7, 3, 19]), _cache(20, 16)
    query, key = values(4, 64), values(4, 32, seed=1)
    q, k = torch.zeros(4, 64).npu(), torch.zeros(4, 32).npu()
    inputs = (positions.npu(), query.npu(), key.npu(), cache.npu(), [0, 0, 0], 16, neox)
    call("aclnnRopeWithSinCosCache", *inputs, q, k)
    cos, sin = cache[positions].chunk(2, -1)
    mode = "half" if neox else "interleave"
    _close(q, _reference(query, cos, sin, mode, 16))
    _close(k, _reference(key, cos, sin, mode, 16))


@pytest.mark.parametrize("mode", ["half", "interleave"])
def test_rotary_position_embedding_by_its_first_name(mode):
    x, cos, sin = values(2, 5, 3, 8), values(1, 5, 1, 8, seed=1), values(1, 5, 1, 8, seed=2)
    out = torch.zeros(2, 5, 3, 8).npu()
    number = 0 if mode == "half" else 1
    call("aclnnRotaryPositionEmbedding", x.npu(), cos.npu(), sin.npu(), number, out)
    _close(out, x * cos + _rotate(x, mode) * sin)


def test_apply_rotary_pos_emb_by_its_first_name():
    query, key = values(2, 3, 4, 64).npu(), values(2, 3, 1, 64, seed=1).npu()
    cos, sin = values(2, 3, 1, 64, seed=2), values(2, 3, 1, 64, seed=3)
    q, k = query.cpu(), key.cpu()
    call("aclnnApplyRotaryPosEmb", query, key, cos.npu(), sin.npu(), 1)
    _close(query, q * cos + _rotate(q, "half") * sin)
    _close(key, k * cos + _rotate(k, "half") * sin)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("tokens", [1, 5])
def test_interleave_rope_leaves_the_pairs_in_halves(dtype, tokens):
    """cos and sin are of one head, and of one token or all."""
    x = values(2, 3, 5, 64, dtype=dtype)
    cos, sin = (values(2, 1, tokens, 64, dtype=dtype, seed=seed) for seed in (1, 2))
    halves = x.float().unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)
    expected = halves * cos.float() + _rotate(halves, "half") * sin.float()
    _close(torch_npu.npu_interleave_rope(x.npu(), cos.npu(), sin.npu()), expected)


def test_interleave_rope_reads_strided_queries():
    """As in vLLM-Ascend's latent attention: the last 64 columns of every head."""
    x = values(3, 4, 192, dtype=torch.bfloat16)
    cos, sin = (values(3, 1, 1, 64, dtype=torch.bfloat16, seed=seed) for seed in (1, 2))
    actual = torch_npu.npu_interleave_rope(
        x.npu()[..., 128:].view(3, 4, 1, 64), cos.npu(), sin.npu()
    )
    halves = x[..., 128:].float().unflatten(-1, (-1, 2)).mT.flatten(-2).unsqueeze(2)
    _close(actual, halves * cos.float() + _rotate(halves, "half") * sin.float())


@pytest.mark.parametrize(
    ("shape", "heads", "dtype", "text"),
    [
        ((1, 2, 3, 64), 1, torch.float32, "x must be float16 or bfloat16"),
        ((1, 2, 3, 32), 1, torch.float16, "size of x must be 64"),
        ((1, 2, 3, 64), 2, torch.float16, "must have one head"),
    ],
    ids=str,
)
def test_limits_of_interleave_rope(shape, heads, dtype, text):
    """npu_interleave_rope.md, parameters and constraints."""
    x = values(*shape, dtype=dtype).npu()
    cos = values(shape[0], heads, *shape[2:], dtype=dtype).npu()
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_interleave_rope, x, cos, cos)
