# SPDX-License-Identifier: Apache-2.0
"""Matrix products."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.oracle import FLOATS, STRIDES, assert_same, run_and_wait, strided, values


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


@pytest.mark.parametrize(("left", "right"), [((4, 5), (5,)), ((5,), (5, 3))], ids=str)
def test_a_product_is_written_through_strides(left, right):
    x, y = values(*left), values(*right, seed=1)
    expected = x @ y
    memory = torch.full((2 * len(expected),), 7.0).npu()
    torch.matmul(x.npu(), y.npu(), out=memory[::2])
    torch.testing.assert_close(memory[::2].cpu(), expected)
    assert (memory[1::2] == 7).all()


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


# --- npu_transpose_batchmatmul -------------------------------------------------------------------

BATCHES, M, K, N = 4, 3, 16, 24


def _batches(*shape, rows_first, dtype, seed=0):
    """Return batches of matrices, and the tensor whose first dimension is that of the rows."""
    batches = values(*shape, dtype=dtype, seed=seed)
    return batches, batches.transpose(0, 1).contiguous() if rows_first else batches


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("rows_first", [False, True])
def test_rows_of_batches_come_together(rows_first, factor, dtype):
    x1, given = _batches(BATCHES, M, K, rows_first=rows_first, dtype=dtype)
    x2 = values(BATCHES, K, N, dtype=dtype, seed=1)
    actual = torch_npu.npu_transpose_batchmatmul(
        given.npu(),
        x2.npu(),
        perm_x1=[1, 0, 2] if rows_first else [0, 1, 2],
        batch_split_factor=factor,
    )
    products = x1.float() @ x2.float()
    expected = products.transpose(0, 1)  # [M, BATCHES, N]
    if factor > 1:
        parts = products.chunk(factor)
        expected = torch.stack([p.transpose(0, 1).flatten(1) for p in parts])
    limit = 1e-5 if dtype == torch.float32 else 2e-2
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual.cpu().float(), expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("shape", [(0, M, K), (BATCHES, 0, K)], ids=["no batch", "no row"])
def test_of_nothing_nothing_comes_together(shape):
    weight = values(shape[0], K, N)
    actual = torch_npu.npu_transpose_batchmatmul(values(*shape).npu(), weight.npu())
    assert actual.shape == (shape[1], shape[0], N)


def test_columns_of_the_weight_may_come_first():
    x1, given = _batches(BATCHES, M, K, rows_first=True, dtype=torch.float32)
    x2 = values(BATCHES, N, K, seed=1)
    actual = torch_npu.npu_transpose_batchmatmul(
        given.npu(), x2.npu(), perm_x1=[1, 0, 2], perm_x2=[0, 2, 1]
    )
    torch.testing.assert_close(actual.cpu(), (x1 @ x2.mT).transpose(0, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"bias": values(N).npu}, "bias is not supported"),
        ({"scale": torch.ones(BATCHES * N, dtype=torch.int64).npu}, "scale is not supported"),
        ({"perm_x1": [2, 0, 1]}, r"permX1 must be \[0, 1, 2\] or \[1, 0, 2\]"),
        ({"perm_x2": [1, 0, 2]}, r"permX2 must be \[0, 1, 2\] or \[0, 2, 1\]"),
        ({"perm_y": [0, 1, 2]}, r"permY must be \[1, 0, 2\]"),
        ({"batch_split_factor": 3}, "batchSplitFactor must divide 4, got 3"),
        ({"weight": values(BATCHES, K + 1, N).npu}, "x2 must have 4 matrices of 16 rows"),
        (
            {"weight": values(BATCHES, N, K).npu, "perm_x2": [0, 2, 1]},
            r"permX1 must be \[1, 0, 2\]",
        ),
    ],
)
def test_transposed_batches_that_are_refused(arguments, text):
    given = {"input": values(BATCHES, M, K).npu, "weight": values(BATCHES, K, N).npu} | arguments
    given = {name: value() if callable(value) else value for name, value in given.items()}
    with pytest.raises(RuntimeError, match=text):
        run_and_wait(torch_npu.npu_transpose_batchmatmul, **given)
