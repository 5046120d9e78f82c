# SPDX-License-Identifier: Apache-2.0
"""Comparison, logic, bits."""

import pytest
import torch
from support.oracle import DTYPES, STRIDES, assert_same, strided, values

COMPARISONS = ["eq", "ne", "lt", "le", "gt", "ge"]


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_of_tensors_equals_cpu(name, strides):
    left = strided(values(6, 4, dtype=torch.int32), strides)
    assert_same(getattr(torch, name), left, values(6, 4, dtype=torch.int32, seed=1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", COMPARISONS)
def test_comparison_with_a_number_equals_cpu(name, dtype):
    assert_same(lambda t: getattr(t, name)(1), values(6, 4, dtype=dtype))


@pytest.mark.parametrize("name", ["eq_", "lt_", "ge_"])
def test_in_place_comparison_keeps_the_dtype(name):
    assert_same(lambda a, b: getattr(a, name)(b), values(4, 4), values(4, 4, seed=1))


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_logic_equals_cpu(name, dtype):
    assert_same(
        getattr(torch, name), values(5, 5, dtype=dtype), values(5, 5, dtype=torch.bool, seed=1)
    )


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_zero_of_either_sign_is_false(name):
    zeros = torch.tensor([0.0, -0.0, 1.0, -1.0])
    assert_same(getattr(torch, name), zeros[:, None], zeros[None, :])


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("name", ["bitwise_left_shift", "bitwise_right_shift"])
def test_shift_of_each_number_by_its_own_count_equals_cpu(name, strides):
    numbers = strided(torch.arange(-12_000, 12_000, 1_000, dtype=torch.int32).view(6, 4), strides)
    assert_same(getattr(torch, name), numbers, torch.arange(24, dtype=torch.int32).view(6, 4) % 7)


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: a & b,
        lambda a, b: a | b,
        lambda a, b: a ^ b,
        lambda a, b: ~a,
        lambda a, b: a & 3,
        lambda a, b: a | 4,
        lambda a, b: a ^ 1,
        lambda a, b: a << b,
        lambda a, b: a >> b,
        lambda a, b: a << 2,
        lambda a, b: a >> 1,
        lambda a, b: a.bitwise_and_(b),
    ],
)
def test_bits_equal_cpu(function):
    assert_same(function, values(4, 5, dtype=torch.int32), values(4, 5, dtype=torch.int32, seed=1))


def test_whole_tensor_comparisons():
    left, right = values(3, 4), values(3, 4) + 1e-9
    assert_same(
        lambda a, b: (torch.equal(a, b), torch.equal(a, b + 1), torch.allclose(a, b)), left, right
    )
    assert_same(torch.isclose, left, right)
    assert_same(lambda a: torch.isin(a, 1), values(4, 4, dtype=torch.int64))
    assert_same(lambda a: a.logical_not(), left)
