# SPDX-License-Identifier: Apache-2.0
"""Linear algebra, distances, and sampling by a grid."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import assert_same, values, with_gradients

MATRIX = values(4, 4)
POSITIVE = MATRIX @ MATRIX.t() + 4 * torch.eye(4)


@pytest.mark.parametrize(
    "function",
    [
        torch.inverse,
        torch.linalg.cholesky,
        lambda a: torch.linalg.qr(a)[1].abs(),
        lambda a: torch.linalg.svd(a)[1],
        lambda a: torch.linalg.slogdet(a),
        torch.slogdet,
        torch.det,
    ],
)
@pytest.mark.parametrize("batch", [(), (3,)], ids=str)
def test_function_of_a_matrix(function, batch):
    assert_same(function, POSITIVE.expand(*batch, 4, 4).contiguous(), scale=10)


def test_sign_and_logarithm_of_determinants_of_both_signs():
    matrices = values(4, 6, 6)[:, 1:, :5]  # strided
    assert set(torch.slogdet(matrices).sign.tolist()) == {-1.0, 1.0}
    assert_same(torch.slogdet, matrices, scale=10)


@pytest.mark.parametrize("mode", ["reduced", "complete"])
def test_factors_of_a_matrix_multiply_to_it(mode):
    matrix = values(5, 3)
    q, r = torch.linalg.qr(matrix.npu(), mode=mode)
    torch.testing.assert_close((q @ r).cpu(), matrix)
    u, s, vh = torch.linalg.svd(matrix.npu(), full_matrices=False)
    torch.testing.assert_close((u * s @ vh).cpu(), matrix)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_factor_in_low_precision_multiplies_to_the_matrix(dtype):
    """PyTorch on the CPU has none."""
    matrix = torch.eye(4) * 4 + torch.ones(4, 4)
    lower = torch.linalg.cholesky(matrix.to(dtype).npu()).cpu().float()
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(lower @ lower.t(), matrix, rtol=4 * step, atol=4 * step)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("unitriangular", [False, True])
def test_triangular_system_is_solved(upper, unitriangular):
    options = {"upper": upper, "unitriangular": unitriangular}
    triangle = POSITIVE.triu() if upper else POSITIVE.tril()
    assert_same(
        lambda a, b: torch.linalg.solve_triangular(a, b, **options),
        triangle,
        values(4, 2),
        scale=10,
    )


def test_cross_product():
    assert_same(torch.linalg.cross, values(4, 3), values(4, 3, seed=1))


@pytest.mark.parametrize("p", [1.0, 2.0, 3.5, float("inf")])
def test_distances(p):
    assert_same(
        lambda a, b: torch.cdist(a, b, p), values(2, 5, 3), values(2, 4, 3, seed=1), scale=4
    )
    assert_same(lambda a: F.pdist(a, p), values(5, 3), scale=4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_distances_in_low_precision_are_rounded_once(dtype):
    """PyTorch on the CPU has none."""
    a, b = values(5, 3, dtype=dtype), values(4, 3, dtype=dtype, seed=1)
    expected = (a.double().unsqueeze(1) - b.double()).norm(dim=-1)
    torch.testing.assert_close(torch.cdist(a.npu(), b.npu()).cpu(), expected.to(dtype))


def test_rows_are_bounded_in_place():
    assert_same(lambda t: t.renorm_(2, 0, 1.0), values(4, 6))


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_sampling_by_a_grid_and_its_gradient(mode, padding, corners):
    options = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    sample = with_gradients(lambda t, g: F.grid_sample(t, g, **options))
    assert_same(sample, values(1, 2, 4, 5), values(1, 3, 3, 2, seed=1).tanh() * 1.2, scale=10)
    points = values(1, 2, 3, 3, 3, seed=1).tanh() * 1.2
    assert_same(sample, values(1, 2, 3, 4, 5), points, scale=10)


@pytest.mark.parametrize("corners", [False, True])
def test_affine_grid(corners):
    assert_same(lambda t: F.affine_grid(t, (1, 2, 4, 5), align_corners=corners), values(1, 2, 3))
