# SPDX-License-Identifier: Apache-2.0
"""Indexing, scatter, masks, lookups."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import FLOATS, assert_same, values

ROWS = torch.tensor([2, 0, 4])
COLUMNS = torch.tensor([1, 3, 3])


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.bool], ids=str)
@pytest.mark.parametrize(
    "function",
    [
        lambda t, r, c: t[r],
        lambda t, r, c: t[r, c],
        lambda t, r, c: t[:, c],
        lambda t, r, c: t[r, 1],
        lambda t, r, c: t[:, None, c],
        lambda t, r, c: t[r.unsqueeze(1), c],
        lambda t, r, c: t[r[:0]],
        lambda t, r, c: t[:, c[:0]],
        lambda t, r, c: t[1:4][r[:2] - 0],
    ],
)
def test_advanced_indexing_equals_cpu(function, dtype):
    assert_same(function, values(6, 5, dtype=dtype), ROWS[:3] % 3, COLUMNS, exact=True)


def _set(tensor, index, value):
    tensor[index] = value
    return tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64], ids=str)
@pytest.mark.parametrize(
    "function",
    [
        lambda t, r, c: _set(t, r, 7),
        lambda t, r, c: _set(t, (r, c), 7),
        lambda t, r, c: _set(t, (slice(None), c[:2]), t[:, :2] + 1),
        lambda t, r, c: _set(t, r[:0], 7),
        lambda t, r, c: _set(t, (r, c), t[0, :3].clone()),
        lambda t, r, c: _set(t, t > 1, 0),
        lambda t, r, c: t.index_put_((r, c), t[0, :3].clone(), accumulate=True),
        lambda t, r, c: _set(t, (slice(None), c[:0]), t[:, :0].clone()),
    ],
)
def test_assignment_through_an_index_equals_cpu(function, dtype):
    assert_same(function, values(6, 5, dtype=dtype), ROWS, COLUMNS, exact=True)


def test_assigning_nothing_to_an_integer_tensor_changes_nothing():
    # An empty int64 index looks like torch_npu's placeholder for "no index here".
    assert_same(
        lambda t, i: _set(t, i, 7), torch.arange(4), torch.empty(0, dtype=torch.int64), exact=True
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda t, i, s: t.gather(1, i),
        lambda t, i, s: t.scatter(1, i, s),
        lambda t, i, s: t.scatter(1, i, 2.0),
        lambda t, i, s: t.scatter_(1, i, s),
        lambda t, i, s: t.scatter_(1, i, 2.0),
        lambda t, i, s: t.scatter_add(1, i, s),
        lambda t, i, s: t.scatter_add_(1, i, s),
        lambda t, i, s: t.scatter_reduce(1, i, s, "sum"),
        lambda t, i, s: t.scatter_reduce(1, i, s, "amax"),
        lambda t, i, s: t.index_select(1, i[0]),
        lambda t, i, s: t.index_select(0, i[0]),
        lambda t, i, s: t.index_add(0, i[0][:2], s[:2, :1].expand(2, 5)),
        lambda t, i, s: t.index_copy(0, i[0][:2], t[:2] + 1),
        lambda t, i, s: t.index_fill(0, i[0], 3.0),
        lambda t, i, s: t.index_fill_(1, i[0], 3.0),
        lambda t, i, s: t.take(i),
        lambda t, i, s: t.put_(i[0], s[0]),
        lambda t, i, s: torch.take_along_dim(t, i, 1),
    ],
)
def test_gather_and_scatter_equal_cpu(function):
    index = torch.tensor([[0, 1, 2], [3, 1, 0], [2, 4, 1], [0, 2, 4], [1, 0, 3]])
    assert_same(function, values(5, 5), index, values(5, 3, seed=1))


def test_places_may_be_int32():
    """test_put.py of op-plugin; PyTorch on the CPU takes int64 only."""
    x, index, source = values(5, 5), torch.tensor([0, 7, 24]), values(3, seed=1)
    actual = x.npu().put_(index.int().npu(), source.npu())
    assert torch.equal(actual.cpu(), x.clone().put_(index, source))


@pytest.mark.parametrize(
    "function",
    [
        lambda t, m: t.masked_fill(m, 1.5),
        lambda t, m: t.masked_fill_(m, float("-inf")),
        lambda t, m: t.masked_fill(m, torch.tensor(2.0, device=t.device)),
        lambda t, m: t.masked_select(m),
        lambda t, m: t[m],
        lambda t, m: t.masked_scatter(m, t.flip(0)),
        lambda t, m: m.nonzero(),
        lambda t, m: torch.where(m),
        lambda t, m: t[m.any(1)],
        lambda t, m: m.sum(),
    ],
)
def test_masks_equal_cpu(function):
    assert_same(function, values(6, 4), values(6, 4, seed=1) > 0, exact=True)


@pytest.mark.parametrize("count", [0, 1, 12])
def test_data_dependent_shapes(count):
    numbers = values(count, dtype=torch.int64)
    assert_same(lambda t: t.nonzero(), numbers, exact=True)
    assert_same(lambda t: torch.unique(t), numbers, exact=True)
    assert_same(lambda t: t.masked_select(t > 3), numbers, exact=True)


def test_unique_with_inverse_and_counts():
    numbers = values(20, dtype=torch.int64)
    assert_same(
        lambda t: torch.unique(t, return_inverse=True, return_counts=True), numbers, exact=True
    )
    assert_same(
        lambda t: torch.unique_consecutive(t.sort().values, return_counts=True), numbers, exact=True
    )
    assert_same(lambda t: torch.unique(t.view(10, 2), dim=0), numbers, exact=True)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize(
    "indices", [torch.tensor([3, 0, 3]), torch.tensor([[1, 2], [3, 4]], dtype=torch.int32)]
)
def test_embedding_equals_cpu(dtype, indices):
    assert_same(lambda w, i: F.embedding(i, w), values(9, 6, dtype=dtype), indices, exact=True)


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted_and_bucketize(right):
    edges = torch.tensor([0.0, 1.0, 2.0, 3.0])
    assert_same(lambda e, t: torch.searchsorted(e, t, right=right), edges, values(3, 4))
    assert_same(lambda e, t: torch.bucketize(t, e, right=right), edges, values(3, 4))
