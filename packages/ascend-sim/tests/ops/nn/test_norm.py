# SPDX-License-Identifier: Apache-2.0
"""Normalization and gated activations against their formulas."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, assert_same, values

_LIMIT = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}


def _close(actual, expected):
    limit = _LIMIT[actual.dtype]
    torch.testing.assert_close(actual.cpu(), expected.to(actual.dtype), rtol=limit, atol=limit)


def _rms_norm(x, gamma, epsilon):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + epsilon) * gamma.float()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(1, 16), (5, 33), (2, 3, 64), (0, 8)], ids=str)
def test_rms_norm_follows_its_formula(shape, dtype):
    x, gamma = values(*shape, dtype=dtype), values(shape[-1], dtype=dtype, seed=1)
    y, rstd = torch_npu.npu_rms_norm(x.npu(), gamma.npu(), 1e-5)
    _close(y, _rms_norm(x, gamma, 1e-5))
    expected = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-5)
    torch.testing.assert_close(rstd.cpu().float(), expected, rtol=1e-4, atol=1e-4)


def test_rms_norm_of_a_strided_input():
    x, gamma = values(6, 16)[:, ::2], values(8, seed=1)
    y, _ = torch_npu.npu_rms_norm(values(6, 16).npu()[:, ::2], gamma.npu(), 1e-6)
    _close(y, _rms_norm(x, gamma, 1e-6))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_add_rms_norm_returns_the_norm_and_the_sum(dtype):
    a, b, gamma = (
        values(4, 32, dtype=dtype),
        values(4, 32, dtype=dtype, seed=1),
        values(32, dtype=dtype, seed=2),
    )
    y, _, x = torch_npu.npu_add_rms_norm(a.npu(), b.npu(), gamma.npu(), 1e-6)
    assert torch.equal(x.cpu(), a + b)
    _close(y, _rms_norm(a + b, gamma, 1e-6))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_add_rms_norm_v2_puts_the_norm_and_the_sum_in_the_place_of_the_addends(dtype):
    a, b, gamma = (values(2, 3, 32, dtype=dtype, seed=seed) for seed in range(3))
    norm, total = a.npu(), b.npu()
    rstd = torch_npu.npu_add_rms_norm_v2(norm, total, gamma[0, 0].npu(), 1e-5)
    assert torch.equal(total.cpu(), a + b)
    _close(norm, _rms_norm(a + b, gamma[0, 0], 1e-5))
    squares = (a + b).float().square().mean(-1, keepdim=True)
    torch.testing.assert_close(rstd.cpu(), torch.rsqrt(squares + 1e-5), rtol=1e-4, atol=1e-4)


def test_add_rms_norm_v2_may_leave_its_addends():
    a, b, gamma = values(4, 8), values(4, 8, seed=1), values(8, seed=2)
    on_npu = (a.npu(), b.npu(), gamma.npu())
    _, norm, total = torch_npu.npu_add_rms_norm_v2_functional(*on_npu)
    assert torch.equal(total.cpu(), a + b)
    _close(norm, _rms_norm(a + b, gamma, 1e-6))
    assert torch.equal(on_npu[0].cpu(), a)
    assert torch.equal(on_npu[1].cpu(), b)


def test_a_row_does_not_depend_on_how_many_rows_there_are():
    x, gamma = values(7, 48).npu(), values(48, seed=1).npu()
    whole, _ = torch_npu.npu_rms_norm(x, gamma, 1e-6)
    first, _ = torch_npu.npu_rms_norm(x[:1], gamma, 1e-6)
    assert torch.equal(whole[:1].cpu(), first.cpu())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("dim", [-1, 0])
def test_swiglu_gates_one_half_with_the_other(dtype, dim):
    x = values(4, 6, dtype=dtype)
    gate, up = x.float().chunk(2, dim)
    _close(torch_npu.npu_swiglu(x.npu(), dim), F.silu(gate) * up)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_layer_and_group_norm_equal_cpu(dtype):
    weight, bias = values(8, dtype=dtype, seed=1), values(8, dtype=dtype, seed=2)
    assert_same(
        lambda x, w, b: F.layer_norm(x, (8,), w, b), values(5, 8, dtype=dtype), weight, bias
    )
    assert_same(lambda x: F.layer_norm(x, (8,)), values(5, 8, dtype=dtype))
    assert_same(lambda x: F.group_norm(x, 2), values(3, 4, 5))


def test_gelu_approximation_by_name():
    x = values(4, 8)
    torch.testing.assert_close(
        torch_npu.npu_gelu(x.npu(), approximate="tanh").cpu(), F.gelu(x, approximate="tanh")
    )


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gemma_rms_norm_adds_1_to_its_weight(dtype):
    x, gamma = values(3, 16, dtype=dtype), values(16, dtype=dtype, seed=1)
    y, rstd = torch_npu.npu_gemma_rms_norm(x.npu(), gamma.npu(), 1e-6)
    _close(y, _rms_norm(x, gamma.float() + 1, 1e-6))
    expected = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + 1e-6)
    torch.testing.assert_close(rstd.cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_add_rms_norm_cast_gives_the_norm_in_both_precisions(dtype):
    a, b, gamma = (values(3, 16, dtype=dtype, seed=seed) for seed in range(3))
    wide, narrow, _, x = torch_npu.npu_add_rms_norm_cast(a.npu(), b.npu(), gamma[0].npu(), 1e-6)
    assert (wide.dtype, narrow.dtype) == (torch.float32, dtype)
    assert torch.equal(x.cpu(), a + b)
    _close(narrow, _rms_norm(a + b, gamma[0], 1e-6))
    torch.testing.assert_close(wide.cpu(), narrow.cpu().float())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_statistics_of_layer_norm_are_not_rounded(dtype):
    """test_layer_norm_backward.py of op-plugin: torch_npu keeps them in float32."""
    x = values(5, 8, dtype=dtype) + 50
    weight = torch.ones(8, dtype=dtype)
    _, mean, rstd = torch.native_layer_norm(x.npu(), (8,), weight.npu(), weight.npu(), 1e-5)
    variance, expected = torch.var_mean(x.float(), -1, correction=0, keepdim=True)
    torch.testing.assert_close(mean.cpu(), expected)
    torch.testing.assert_close(rstd.cpu(), torch.rsqrt(variance + 1e-5), rtol=1e-4, atol=0)


def test_layer_norm_by_the_name_of_its_fast_kernel():
    x, weight, bias = values(5, 8), values(8, seed=1), values(8, seed=2)
    out, mean, rstd = (torch.zeros(*shape).npu() for shape in ((5, 8), (5, 1), (5, 1)))
    on_npu = (x.npu(), [8], weight.npu(), bias.npu(), 1e-5)
    call("aclnnFastLayerNorm", *on_npu, out, mean, rstd)
    _close(out, F.layer_norm(x, (8,), weight, bias))
    _close(mean, x.mean(-1, keepdim=True))
    _close(rstd, torch.rsqrt(x.var(-1, correction=0, keepdim=True) + 1e-5))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_add_layer_norm_normalizes_a_sum(dtype):
    x1, x2 = values(3, 5, 8, dtype=dtype), values(3, 5, 8, dtype=dtype, seed=1)
    gamma, beta = values(8, dtype=dtype, seed=2), values(8, dtype=dtype, seed=3)
    operands = [t.npu() for t in (x1, x2, gamma, beta)]
    y, mean, rstd, x = torch_npu.npu_add_layer_norm(*operands, 1e-5, True)
    total = x1.float() + x2.float()
    expected = torch.nn.functional.layer_norm(total, (8,), gamma.float(), beta.float(), 1e-5)
    torch.testing.assert_close(y.cpu(), expected.to(dtype))
    torch.testing.assert_close(x.cpu(), total.to(dtype))
    torch.testing.assert_close(mean.cpu(), total.mean(-1, keepdim=True))
    variance = total.var(-1, correction=0, keepdim=True)
    torch.testing.assert_close(rstd.cpu(), (variance + 1e-5).rsqrt())


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("with_sum", [True, False], ids=["and the sum", "the norm alone"])
def test_gradients_of_add_layer_norm(dtype, with_sum):
    """Of the norm and of the sum, which is an output too; against autograd in float64."""
    x1, x2, by_norm, by_sum = (values(3, 5, 8, dtype=dtype, seed=seed) for seed in range(4))
    gamma = values(8, dtype=dtype, seed=5)
    leaves = [t.double().requires_grad_() for t in (x1, x2, gamma, torch.zeros(8))]
    total = leaves[0] + leaves[1]
    norm = F.layer_norm(total, (8,), leaves[2], leaves[3])
    loss = (norm * by_norm).sum() + ((total * by_sum).sum() if with_sum else 0)
    expected = torch.autograd.grad(loss, leaves)
    sums = x1.float() + x2.float()
    variance, mean = torch.var_mean(sums, -1, correction=0, keepdim=True)
    actual = torch_npu.npu_add_layer_norm_backward(
        by_norm.npu(),
        x1.npu(),
        x2.npu(),
        (variance + 1e-5).rsqrt().npu(),
        mean.npu(),
        gamma.npu(),
        by_sum.npu() if with_sum else None,
    )
    assert [t.dtype for t in actual] == [dtype, dtype, torch.float32, torch.float32]
    for got, want in zip(actual, expected, strict=True):
        limit = 1e-4 if got.dtype == torch.float32 else _LIMIT[dtype]
        torch.testing.assert_close(got.cpu().double(), want, rtol=limit, atol=limit)
