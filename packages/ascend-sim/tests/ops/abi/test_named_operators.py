# SPDX-License-Identifier: Apache-2.0
"""Operators by name (aclop), the way that torch_npu takes for some of its own functions."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.oracle import DTYPES, FLOATS, assert_same, values, with_gradients

NZ, ND = 29, 2


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "function", [F.relu, lambda t: F.threshold(t, 0.3, 7)], ids=["relu", "0.3"]
)
def test_gradient_of_relu(function, dtype):
    assert_same(with_gradients(function), values(5, 7, dtype=dtype))


def test_gradient_of_relu_of_a_matrix_in_blocks(internal_formats):
    """By name: `ReluGrad`."""
    x, weight = values(32, 48, dtype=torch.float16), values(32, 48, dtype=torch.float16, seed=1)
    leaf = torch_npu.npu_format_cast(x.npu(), NZ).requires_grad_()
    grad = torch.ops.aten.threshold_backward(
        torch_npu.npu_format_cast(weight.npu(), NZ), leaf.detach(), 0
    )
    torch.testing.assert_close(torch_npu.npu_format_cast(grad, ND).cpu(), weight * (x > 0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (0, 1, 2)], ids=str)
def test_transpose(dtype, order):
    x = values(2, 3, 4, dtype=dtype)
    assert torch.equal(torch_npu.npu_transpose(x.npu(), order).cpu(), x.permute(order))


def test_transpose_reads_its_order_at_once():
    """The order is in host memory that is the caller's again after the call."""
    x = values(2, 3, 4)
    results = [torch_npu.npu_transpose(x.npu(), order) for order in ((1, 0, 2), (2, 1, 0))]
    assert [tuple(result.shape) for result in results] == [(3, 2, 4), (4, 3, 2)]
    assert torch.equal(results[0].cpu(), x.permute(1, 0, 2))
    assert torch.equal(results[1].cpu(), x.permute(2, 1, 0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slice(dtype):
    x = values(5, 6, dtype=dtype)
    assert torch.equal(torch_npu.npu_slice(x.npu(), [1, 2], [3, 4]).cpu(), x[1:4, 2:6])
