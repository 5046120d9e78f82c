# SPDX-License-Identifier: Apache-2.0
"""Sort, top-k, order statistics."""

import pytest
import torch
from support.oracle import FLOATS, STRIDES, assert_same, strided, values


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize(
    "function",
    [
        lambda t: t.sort(stable=True),
        lambda t: t.sort(descending=True, stable=True),
        lambda t: t.sort(dim=0, stable=True),
        lambda t: t.argsort(stable=True),
        lambda t: t.topk(3).values,
        lambda t: t.topk(2, dim=0, largest=False).values,
        lambda t: t.kthvalue(2).values,
        lambda t: t.median(1).values,
        lambda t: t.msort(),
    ],
)
def test_order_equals_cpu(function, strides):
    assert_same(function, strided(values(6, 5), strides), exact=True)


@pytest.mark.parametrize("name", ["median", "nanmedian"])
def test_median_of_an_expanded_dimension(name):
    """PyTorch on the CPU reads beyond such a tensor."""
    column = values(6)
    actual, places = getattr(column.npu()[:, None].expand(6, 5), name)(1)
    torch.testing.assert_close(actual.cpu(), column)
    assert (places.cpu() >= 0).all()
    assert (places.cpu() < 5).all()


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.int32], ids=str)
def test_sort_of_dtypes(dtype):
    assert_same(lambda t: t.sort(stable=True), values(4, 30, dtype=dtype), exact=True)


def test_topk_indices_select_its_values():
    logits = values(3, 50).npu()
    top, index = logits.topk(7)
    torch.testing.assert_close(logits.gather(1, index), top)
    assert index.dtype == torch.int64
