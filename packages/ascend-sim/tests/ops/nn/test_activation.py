# SPDX-License-Identifier: Apache-2.0
"""Activations: their values in and out of place, and their gradients."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, STRIDES, assert_same, strided, values, with_gradients

ACTIVATIONS = {
    "silu": F.silu,
    "relu": F.relu,
    "gelu": F.gelu,
    "softplus": lambda t: F.softplus(t, beta=2, threshold=1),
    "elu": lambda t: F.elu(t, alpha=0.7),
    "celu": lambda t: F.celu(t, alpha=0.7),
    "selu": F.selu,
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "mish": F.mish,
    "leaky_relu": lambda t: F.leaky_relu(t, 0.2),
    "hardtanh": lambda t: F.hardtanh(t, -0.3, 0.6),
    "relu6": F.relu6,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "tanhshrink": F.tanhshrink,
    "logsigmoid": F.logsigmoid,
    "glu": F.glu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "threshold": lambda t: F.threshold(t, 0.1, 20.0),
    "logit": lambda t: torch.logit(t.sigmoid(), eps=0.2),
    "prelu": lambda t: F.prelu(t, torch.linspace(0.1, 0.8, 8).to(t)),
}
IN_PLACE = {
    "celu": lambda t: F.celu(t, 0.7, inplace=True),
    "elu": lambda t: F.elu(t, 0.7, inplace=True),
    "selu": lambda t: F.selu(t, inplace=True),
    "hardtanh": lambda t: F.hardtanh(t, -0.3, 0.6, inplace=True),
    "relu6": lambda t: F.relu6(t, inplace=True),
    "leaky_relu": lambda t: F.leaky_relu(t, 0.2, inplace=True),
    "threshold": lambda t: F.threshold(t, 0.1, 20.0, inplace=True),
    "hardswish": lambda t: F.hardswish(t, inplace=True),
    "silu": lambda t: F.silu(t, inplace=True),
    "mish": lambda t: F.mish(t, inplace=True),
}


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_and_its_gradient_equal_cpu(name, dtype):
    assert_same(with_gradients(ACTIVATIONS[name]), values(4, 8, dtype=dtype), scale=2)


@pytest.mark.parametrize("strides", STRIDES[:-1])
@pytest.mark.parametrize("name", IN_PLACE)
def test_activation_in_place_writes_through_strides(name, strides):
    assert_same(lambda t: (IN_PLACE[name](t), t)[1], strided(values(6, 4), strides))


def test_hardsigmoid_of_integers_is_cut():
    """test_hardsigmoid.py of op-plugin; PyTorch on the CPU takes no integers."""
    x = torch.arange(-6, 7, dtype=torch.int32)
    expected = F.hardsigmoid(x.float()).int()
    assert torch.equal(F.hardsigmoid(x.npu()).cpu(), expected)
    assert torch.equal(F.hardsigmoid(x.npu(), inplace=True).cpu(), expected)


def gelu_by_tanh(x: torch.Tensor) -> torch.Tensor:
    # torch_npu's own operator: for F.gelu it calls aclnnGelu, whatever the approximation asked for.
    if x.device.type == "npu":
        return torch_npu.npu_gelu(x, approximate="tanh")
    return F.gelu(x, approximate="tanh")


def fast_gelu(x: torch.Tensor) -> torch.Tensor:
    """As torch_npu-npu_fast_gelu.md gives it."""
    return torch_npu.npu_fast_gelu(x) if x.device.type == "npu" else x * torch.sigmoid(1.702 * x)


def swiglu(x: torch.Tensor) -> torch.Tensor:
    """As torch_npu-npu_swiglu.md gives it."""
    if x.device.type == "npu":
        return torch_npu.npu_swiglu(x, dim=-1)
    left, right = x.chunk(2, -1)
    return F.silu(left) * right


@pytest.mark.parametrize("function", [fast_gelu, gelu_by_tanh, swiglu])
def test_fused_activation_and_its_gradient_follow_their_formula(function):
    assert_same(with_gradients(function), values(4, 8))


def clipped_swiglu(x, *, alpha=1.702, limit=7.0, bias=1.0, interleaved=True):
    """As aclnnClippedSwiglu.md gives it, of the last dimension."""
    activated, linear = (x[..., ::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    activated, linear = activated.clamp(max=limit), linear.clamp(-limit, limit)
    return activated * torch.sigmoid(alpha * activated) * (linear + bias)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"interleaved": False}, {"alpha": 1.0, "limit": 0.5, "bias": 0.25}]
)
def test_clipped_swiglu_follows_its_formula(options, dtype):
    x = 4 * values(5, 2, 8, dtype=dtype)
    actual = torch_npu.npu_clipped_swiglu(x.npu(), **options)
    expected = clipped_swiglu(x.float(), **options).to(dtype)
    limit = {torch.float32: 1e-5, torch.bfloat16: 1.6e-2, torch.float16: 2e-3}[dtype]
    torch.testing.assert_close(actual.cpu(), expected, rtol=limit, atol=limit)


def test_clipped_swiglu_of_an_inner_dimension_pairs_what_lies_together():
    x = values(3, 4, 6)
    actual = torch_npu.npu_clipped_swiglu(x.npu(), dim=1)
    expected = clipped_swiglu(x.flatten(1)).view(3, 2, 6)
    torch.testing.assert_close(actual.cpu(), expected)


def test_clipped_swiglu_of_groups_leaves_the_rows_after_them():
    x, groups = values(6, 8), torch.tensor([1, 0, 3])
    out = torch.full((6, 4), 9.0).npu()
    call("aclnnClippedSwiglu", x.npu(), groups.npu(), -1, 1.702, 7.0, 1.0, True, out)
    torch.testing.assert_close(out[:4].cpu(), clipped_swiglu(x[:4]))
    assert (out[4:].cpu() == 9).all()


def test_clipped_swiglu_writes_through_strides():
    x, out = values(6, 8), torch.zeros(4, 6).npu().t()
    call("aclnnClippedSwiglu", x.npu(), None, -1, 1.702, 7.0, 1.0, True, out)
    torch.testing.assert_close(out.cpu(), clipped_swiglu(x))


@pytest.mark.parametrize("approximate", [0, 1])
@pytest.mark.parametrize("left", [False, True])
def test_geglu_multiplies_one_half_by_the_gelu_of_the_other(approximate, left):
    x = values(3, 10)
    halves = x.chunk(2, -1)
    gelu = F.gelu(halves[0 if left else 1], approximate="tanh" if approximate else "none")
    out, out_gelu = torch_npu.npu_geglu(x.npu(), -1, approximate, left)
    torch.testing.assert_close(out_gelu.cpu(), gelu)
    torch.testing.assert_close(out.cpu(), halves[1 if left else 0] * gelu)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_mul_multiplies_the_gelu_of_the_first_half_by_the_other(approximate, dtype):
    x = values(10, 3, dtype=dtype).t()  # strided

    def run(t):
        if t.device.type == "npu":
            return torch_npu.npu_gelu_mul(t, approximate=approximate)
        left, right = t.chunk(2, -1)
        return F.gelu(left, approximate=approximate) * right

    assert_same(run, x, scale=2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("strides", STRIDES[:-1])
def test_relu_of_a_sum(strides, dtype):
    x, other = strided(values(6, 4, dtype=dtype), strides), values(6, 4, dtype=dtype, seed=1)

    def out_of_place(a, b):
        if a.device.type == "npu":
            return torch._add_relu(a, b, alpha=0.625)
        return torch.add(a, b, alpha=0.625).relu()

    def in_place(a, b):
        if a.device.type == "npu":
            torch._add_relu_(a, b, alpha=0.625)
        else:
            a.add_(b, alpha=0.625).relu_()
        return a

    assert_same(out_of_place, x, other)
    assert_same(in_place, x, other)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_gradient_of_hardswish_by_its_first_operator(dtype):
    # torch_npu calls it where CANN has no second version, and mends the results at -3 and 3 itself.
    def run(grad, x):
        if x.device.type == "cpu":
            return torch.ops.aten.hardswish_backward(grad, x)
        out = torch.zeros_like(x)
        call("aclnnHardswishBackward", grad, x, out)
        return out

    x = values(8, 6, dtype=dtype, seed=1) * 4
    assert_same(run, values(6, 8, dtype=dtype).t(), x)
