# SPDX-License-Identifier: Apache-2.0
"""Arithmetic and functions of one element."""

import math

import pytest
import torch
from support.oracle import FLOATS, INTS, STRIDES, assert_same, strided, values

UNARY = [
    "abs",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "frac",
    "log",
    "log10",
    "log1p",
    "log2",
    "neg",
    "reciprocal",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "isfinite",
    "isposinf",
    "isneginf",
    "isnan",
    "signbit",
    "nan_to_num",
    "erfinv",
    "atanh",
]
IN_PLACE = [
    "cos_",
    "exp_",
    "log_",
    "sqrt_",
    "rsqrt_",
    "reciprocal_",
    "sigmoid_",
    "tanh_",
    "relu_",
    "neg_",
    "abs_",
    "floor_",
    "ceil_",
    "sin_",
    "zero_",
]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "remainder",
    "fmod",
    "floor_divide",
    "pow",
    "atan2",
    "logaddexp",
    "xlogy",
]
INTEGER_BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary_function_equals_cpu(name, dtype):
    assert_same(getattr(torch, name), values(5, 7, dtype=dtype))


@pytest.mark.parametrize("name", ["cos", "sqrt", "sigmoid", "abs", "neg", "sign"])
def test_unary_function_of_integers_promotes_as_on_cpu(name):
    assert_same(getattr(torch, name), values(5, 7, dtype=torch.int32))


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("dtype", [*FLOATS, torch.int32, torch.complex64], ids=str)
def test_angle_of_numbers_real_and_complex(dtype, strides):
    numbers = values(6, 4) * 4
    if dtype.is_complex:
        numbers = torch.complex(numbers, values(6, 4, seed=1))
    assert_same(torch.angle, strided(numbers.to(dtype), strides))
    if dtype.is_floating_point:
        assert_same(torch.angle, torch.tensor([math.nan, math.inf, -math.inf, 0.0]).to(dtype))


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_function_writes_through_strides(name):
    assert_same(lambda t: getattr(t, name)(), strided(values(6, 4).abs() + 0.5, "every second"))


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary_function_equals_cpu_for_any_strides(name, dtype, strides):
    left, right = (
        values(6, 4, dtype=dtype).abs() + 0.5,
        values(6, 4, dtype=dtype, seed=1).abs() + 0.5,
    )
    assert_same(getattr(torch, name), strided(left, strides), right)


@pytest.mark.parametrize("dtype", INTS, ids=str)
@pytest.mark.parametrize("name", INTEGER_BINARY)
def test_binary_function_of_integers_equals_cpu(name, dtype):
    assert_same(
        getattr(torch, name), values(6, 4, dtype=dtype), values(6, 4, dtype=dtype, seed=1) + 1
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (torch.float32, torch.int64),
        (torch.bfloat16, torch.float32),
        (torch.int32, torch.int64),
        (torch.bool, torch.float16),
        (torch.uint8, torch.int8),
    ],
    ids=str,
)
def test_mixed_dtypes_promote_as_on_cpu(left, right):
    assert_same(torch.add, values(3, 4, dtype=left), values(4, dtype=right, seed=1))


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t + 2.5,
        lambda t: 2.5 - t,
        lambda t: t - 1,
        lambda t: t * 3,
        lambda t: t / 2,
        lambda t: 7 / (t.abs() + 1),
        lambda t: t // 0.7,
        lambda t: t % 3,
        lambda t: t**2,
        lambda t: 2**t,
        lambda t: t**0.5,
        lambda t: torch.add(t, 1, alpha=3),
        lambda t: torch.sub(t, t, alpha=2),
        lambda t: t.add_(1).mul_(2).sub_(0.5).div_(3),
        lambda t: torch.rsub(t, 4.0, alpha=2),
        lambda t: t.pow_(2),
        lambda t: t.fmod(2),
        lambda t: t.remainder_(2),
        lambda t: t.floor_divide_(2),
        lambda t: torch.div(t, 3, rounding_mode="trunc"),
        lambda t: torch.div(t, 3, rounding_mode="floor"),
    ],
)
def test_scalar_operands_equal_cpu(function):
    assert_same(function, values(5, 6))


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b, c: torch.addcmul(a, b, c, value=0.5),
        lambda a, b, c: torch.addcdiv(a, b, c.abs() + 1, value=0.5),
        lambda a, b, c: torch.lerp(a, b, 0.3),
        lambda a, b, c: torch.lerp(a, b, c),
        lambda a, b, c: a.addcmul_(b, c).lerp_(b, 0.2),
        lambda a, b, c: torch.clamp(a, -0.5, 0.5),
        lambda a, b, c: torch.clamp(a, min=0.1),
        lambda a, b, c: torch.clamp(a, max=0.1),
        lambda a, b, c: torch.clamp(a, min=b, max=c),
        lambda a, b, c: a.clamp_min(b).clamp_max_(1.0),
        lambda a, b, c: torch.where(a > 0, b, c),
        lambda a, b, c: torch.where(a > 0, b, 0.0),
    ],
)
def test_three_operands_equal_cpu(function):
    assert_same(function, values(5, 6), values(5, 6, seed=1), values(5, 6, seed=2))


def test_special_values_pass_through():
    special = torch.tensor([math.nan, math.inf, -math.inf, 0.0, -0.0])
    assert_same(
        lambda t: (t + 1, t * 0, t.isnan(), t.isinf(), torch.nan_to_num(t, 1.0, 2.0, 3.0)), special
    )


@pytest.mark.parametrize("shape", [(0,), (3, 0), ()], ids=str)
def test_empty_and_zero_dimensional_tensors(shape):
    assert_same(lambda t: (t + 1, t * t, t.exp()), values(*shape))
