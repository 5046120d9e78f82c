# SPDX-License-Identifier: Apache-2.0
"""Reductions, scans and softmax."""

import pytest
import torch
from support.oracle import FLOATS, STRIDES, assert_same, strided, values

REDUCTIONS = [
    lambda t: t.sum(),
    lambda t: t.sum(0),
    lambda t: t.sum((0, 1), keepdim=True),
    lambda t: t.mean(),
    lambda t: t.mean(-1),
    lambda t: t.mean(-1, keepdim=True),
    lambda t: t.max(),
    lambda t: t.min(),
    lambda t: t.max(1),
    lambda t: t.min(0, keepdim=True),
    lambda t: t.amax(1),
    lambda t: t.amin((0, 1)),
    lambda t: t.argmax(),
    lambda t: t.argmax(-1),
    lambda t: t.argmin(0),
    lambda t: t.argmax(-1, keepdim=True),
    lambda t: t.prod(),
    lambda t: t.prod(1),
    lambda t: t.var(),
    lambda t: t.var(1, unbiased=False),
    lambda t: t.std(),
    lambda t: t.std(0),
    lambda t: torch.var_mean(t, 1),
    lambda t: torch.std_mean(t, 0),
    lambda t: t.norm(),
    lambda t: t.norm(dim=1),
    lambda t: t.norm(p=1),
    lambda t: t.norm(p=float("inf")),
    lambda t: torch.linalg.vector_norm(t, 3, dim=0),
    lambda t: torch.aminmax(t),
    lambda t: torch.aminmax(t, dim=1),
    lambda t: t.logsumexp(1),
    lambda t: t.median(),
    lambda t: t.nansum(1),
    lambda t: (t > 0).all(),
    lambda t: (t > 0).any(1),
    lambda t: (t > 0).all(0),
    lambda t: (t > 5).any(),
    lambda t: torch.count_nonzero(t > 0),
]


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("function", REDUCTIONS)
def test_reduction_equals_cpu(function, strides):
    assert_same(function, strided(values(6, 5), strides))


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool], ids=str)
def test_sums_of_integers_are_int64(dtype):
    assert_same(lambda t: (t.sum(), t.sum(1)), values(6, 5, dtype=dtype))
    if dtype != torch.bool:  # which a device does not add up one after the other
        assert_same(lambda t: t.cumsum(0), values(6, 5, dtype=dtype))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.softmax(-1),
        lambda t: t.softmax(0),
        lambda t: t.log_softmax(-1),
        lambda t: t.softmax(-1, dtype=torch.float32),
        lambda t: t.cumsum(1),
        lambda t: t.cumsum(0),
    ],
)
def test_rows_equal_cpu(function, dtype):
    assert_same(function, values(5, 9, dtype=dtype))


@pytest.mark.parametrize("function", [torch.softmax, torch.log_softmax, torch.cumsum])
def test_rows_are_written_through_strides(function):
    x, memory = values(5, 9), torch.full((5, 18), 7.0).npu()
    function(x.npu(), -1, out=memory[:, ::2])
    torch.testing.assert_close(memory[:, ::2].cpu(), function(x, -1))
    assert (memory[:, 1::2] == 7).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.cumprod(1),
        lambda t: t.cummax(0),
        lambda t: t.cummin(1),
        lambda t: t.mean(-1, dtype=torch.float32),
        lambda t: t.sum(-1, dtype=torch.int64),
        lambda t: torch.renorm(t, 2, 0, 1.0),
        lambda t: t.sum(()),
    ],
)
def test_scans_and_result_dtypes(function):
    assert_same(function, values(5, 4))


def test_bincount_and_histogram():
    counts = values(40, dtype=torch.int64)
    assert_same(lambda t: (torch.bincount(t), torch.bincount(t, minlength=20)), counts)
    assert_same(lambda t: torch.histc(t, bins=5, min=-2, max=2), values(50))


def test_reduction_of_nothing():
    assert_same(lambda t: (t.sum(), t.sum(0), t.prod()), values(0, 3))
