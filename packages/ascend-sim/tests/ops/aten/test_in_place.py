# SPDX-License-Identifier: Apache-2.0
"""Functions that write their result over their argument, through its strides."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import assert_same, strided, values

UNARY = [
    "acos_", "asin_", "asinh_", "atan_", "atanh_", "cosh_", "erf_", "erfc_", "erfinv_", "exp2_",
    "expm1_", "frac_", "log10_", "log1p_", "log2_", "sinc_", "sinh_", "tan_", "logical_not_",
    "nan_to_num_",
]  # fmt: skip
BINARY = [
    "add_", "div_", "floor_divide_", "remainder_", "fmod_", "pow_", "atan2_", "xlogy_",
    "clamp_min_", "clamp_max_", "logical_and_", "logical_or_", "eq_", "ne_", "ge_", "gt_", "le_",
    "lt_",
]  # fmt: skip
WITH_A_NUMBER = [
    "eq_", "ne_", "ge_", "gt_", "le_", "lt_", "fmod_", "xlogy_", "floor_divide_", "remainder_",
]  # fmt: skip


def _between_0_and_1(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """Numbers in (0, 1), where all functions here are defined, in every second column."""
    return strided(values(rows, columns, seed=seed).abs().frac() * 0.9 + 0.05, "every second")


@pytest.mark.parametrize("name", UNARY)
def test_of_one_tensor(name):
    assert_same(lambda t: getattr(t, name)(), _between_0_and_1(6, 4))


def test_acosh_from_1_on():
    assert_same(lambda t: t.acosh_(), _between_0_and_1(6, 4) + 1)


@pytest.mark.parametrize("name", BINARY)
def test_of_two_tensors(name):
    left, right = _between_0_and_1(6, 4), _between_0_and_1(6, 4, seed=1)
    right[::2] = left[::2]  # some are equal
    assert_same(lambda a, b: getattr(a, name)(b), left, right)


@pytest.mark.parametrize("name", WITH_A_NUMBER)
def test_of_a_tensor_and_a_number(name):
    tensor = torch.tensor([[0.1, 0.5, 0.9, 0.5]])
    assert_same(lambda t: getattr(t, name)(0.5), strided(tensor, "every second"))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize("kind", ["tensor", "number"])
def test_floats_are_cut_to_the_integers_that_they_are_written_to(name, kind):
    """conversion_relationship.md; PyTorch on the CPU refuses it."""
    numbers = torch.tensor([-7, 3, 4, 100])
    other = torch.tensor([1.5, -2.5, 0.3, 7.0]) if kind == "tensor" else 1.5
    actual = numbers.npu()
    getattr(actual, f"{name}_")(other.npu() if kind == "tensor" else other)
    assert actual.cpu().tolist() == getattr(torch, name)(numbers, other).long().tolist()


def test_sum_scaled_by_alpha():
    assert_same(lambda a, b: a.add_(b, alpha=3), _between_0_and_1(6, 4), values(6, 4, seed=1))
    assert_same(lambda a: a.add_(2.5, alpha=3), _between_0_and_1(6, 4))
    assert_same(lambda a: a.sub_(2.5, alpha=3), _between_0_and_1(6, 4))


@pytest.mark.parametrize("mode", ["trunc", "floor"])
def test_quotient_rounded(mode):
    left, right = values(6, 4) * 9, values(6, 4, seed=1).abs() + 0.5
    assert_same(lambda a, b: a.div_(b, rounding_mode=mode), strided(left, "every second"), right)
    assert_same(lambda a, b: torch.div(a, b, rounding_mode=mode), left, right)
    assert_same(lambda a: a.div_(0.7, rounding_mode=mode), strided(left, "every second"))


@pytest.mark.parametrize("name", ["bitwise_and_", "bitwise_or_", "bitwise_xor_"])
def test_bits(name):
    left, right = values(6, 4, dtype=torch.int32), values(6, 4, dtype=torch.int32, seed=1)
    assert_same(lambda a, b: getattr(a, name)(b), strided(left, "every second"), right)
    assert_same(lambda a: getattr(a, name)(5), strided(left, "every second"))


def test_logic_of_integers():
    left, right = values(6, 4, dtype=torch.int32), values(6, 4, dtype=torch.int32, seed=1) - 4
    assert_same(lambda a, b: a.logical_and_(b), strided(left, "every second"), right)
    assert_same(lambda a, b: a.logical_or_(b), strided(left, "every second"), right)


@pytest.mark.parametrize("decimals", [-1, 1, 2])
def test_rounding_to_decimals(decimals):
    assert_same(lambda t: t.round_(decimals=decimals), strided(values(6, 4) * 50, "every second"))
    assert_same(lambda t: t.round(decimals=decimals), values(6, 4) * 50)


def test_of_three_tensors():
    a, b, c = (values(6, 4, seed=seed) for seed in range(3))
    assert_same(lambda a, b, c: a.addcdiv_(b, c, value=0.5), strided(a, "every second"), b, c + 3)
    assert_same(lambda a, b, c: a.lerp_(b, c), strided(a, "every second"), b, c)


def test_outer_product_added():
    tensor, left, right = values(4, 3), values(4, seed=1), values(3, seed=2)
    assert_same(
        lambda t, a, b: t.addr_(a, b, beta=0.5, alpha=2), strided(tensor, "transposed"), left, right
    )


def test_triangle():
    assert_same(lambda t: t.triu_(1), strided(values(6, 4), "transposed"))


@pytest.mark.parametrize("function", [F.hardsigmoid, F.hardswish, F.mish])
def test_activation(function):
    assert_same(lambda t: function(t, inplace=True), strided(values(6, 4) * 4, "every second"))


def test_rows_at_an_index():
    index = torch.tensor([3, 0])
    assert_same(
        lambda t, i, s: t.index_copy_(0, i, s), strided(values(5, 4), "transposed"), index,
        values(2, 4, seed=1),
    )  # fmt: skip
    assert_same(
        lambda t, i: (t.index_fill(0, i, 7.0), t.index_fill_(1, i, -1.0)), values(5, 4), index
    )


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_that_reduces(reduce, include_self):
    index = torch.tensor([[0, 1, 0, 2], [2, 2, 1, 0]])
    assert_same(
        lambda t, i, s: t.scatter_reduce_(0, i, s, reduce, include_self=include_self),
        strided(values(3, 4), "every second"),
        index,
        values(2, 4, seed=1),
    )
