# SPDX-License-Identifier: Apache-2.0
"""Matrix products."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from _oracle import FLOATS, STRIDES, assert_same, strided, values


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_matrix_product_equals_cpu(dtype, strides):
    assert_same(
        torch.mm, strided(values(6, 4, dtype=dtype), strides), values(4, 5, dtype=dtype, seed=1)
    )
    assert_same(
        torch.mm, values(5, 6, dtype=dtype, seed=1), strided(values(6, 4, dtype=dtype), strides)
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((4, 5), (5,)),
        ((5,), (5, 3)),
        ((5,), (5,)),
        ((2, 3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (1, 5, 4, 2)),
        ((0, 4), (4, 3)),
        ((3, 0), (0, 2)),
    ],
    ids=str,
)
def test_matmul_of_any_rank_equals_cpu(left, right):
    assert_same(torch.matmul, values(*left), values(*right, seed=1))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("shape", [(7, 8), (2, 3, 8)], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_equals_cpu(shape, dtype, bias):
    weight, shift = values(5, 8, dtype=dtype, seed=1), values(5, dtype=dtype, seed=2)
    assert_same(
        lambda x, w, b: F.linear(x, w, b if bias else None),
        values(*shape, dtype=dtype),
        weight,
        shift,
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda s, a, b, v: torch.addmm(s, a, b, beta=0.5, alpha=2),
        lambda s, a, b, v: s.addmm_(a, b),
        lambda s, a, b, v: torch.addmm(s[0], a, b),
        lambda s, a, b, v: torch.mv(a, v),
        lambda s, a, b, v: torch.addmv(s[:, 0], a, v, beta=0.5, alpha=2),
        lambda s, a, b, v: torch.dot(v, v),
        lambda s, a, b, v: torch.baddbmm(
            s.expand(2, -1, -1), a.expand(2, -1, -1), b.expand(2, -1, -1), beta=3
        ),
        lambda s, a, b, v: torch.addbmm(s, a.expand(2, -1, -1), b.expand(2, -1, -1)),
        lambda s, a, b, v: torch.addr(torch.zeros_like(a), s[:, 0], v),
        lambda s, a, b, v: torch.einsum("ij,jk->ki", a, b),
        lambda s, a, b, v: torch.outer(v, v),
    ],
)
def test_products_with_addends_equal_cpu(function):
    assert_same(
        function, values(4, 3), values(4, 5, seed=1), values(5, 3, seed=2), values(5, seed=3)
    )
