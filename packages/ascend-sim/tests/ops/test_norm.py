# SPDX-License-Identifier: Apache-2.0
"""Normalisation and gated activations against their formulas."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from _aclnn import call
from _oracle import FLOATS, assert_same, values

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
def test_add_layer_norm_normalises_a_sum(dtype):
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
