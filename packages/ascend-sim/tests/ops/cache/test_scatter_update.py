# SPDX-License-Identifier: Apache-2.0
"""`scatter_update`: part of a tensor from an index of each batch on, against plain slices."""

import pytest
import torch
import torch_npu
from support.oracle import FLOATS, run_and_wait, values


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int8, torch.int32, torch.uint8], ids=str)
@pytest.mark.parametrize("index", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("axis", [-2, 2, -1])
def test_each_batch_is_written_from_an_index_of_its_own(dtype, index, axis):
    data, places = values(3, 2, 6, 5, dtype=dtype), [3, 0, 1]
    shape = (3, 2, 2, 5) if axis != -1 else (3, 2, 6, 2)
    updates = values(*shape, dtype=dtype, seed=1)
    expected = data.clone()
    for batch, place in enumerate(places):
        expected[batch].narrow(axis - 1 if axis > 0 else axis, place, 2).copy_(updates[batch])
    actual = data.npu()
    at = torch.tensor(places, dtype=index).npu()
    torch_npu.scatter_update_(actual, at, updates.npu(), axis)
    assert torch.equal(actual.cpu(), expected)
    assert torch.equal(
        torch_npu.scatter_update(data.npu(), at, updates.npu(), axis).cpu(), expected
    )


def test_a_number_is_the_index_of_the_first_batch():
    data, updates = values(2, 4, 3), values(1, 1, 3, seed=1)
    actual = data.npu()
    torch_npu.scatter_update_(actual, torch.tensor(2).npu(), updates.npu(), -2)
    expected = data.clone()
    expected[0, 2] = updates[0, 0]
    assert torch.equal(actual.cpu(), expected)


def test_rows_of_two_indices_name_the_batch_too():
    data, updates = values(3, 4, 3), values(2, 1, 3, seed=1)
    actual = data.npu()
    torch_npu.scatter_update_(actual, torch.tensor([[2, 3], [0, 1]]).npu(), updates.npu(), -2)
    expected = data.clone()
    expected[2, 3], expected[0, 1] = updates[0, 0], updates[1, 0]
    assert torch.equal(actual.cpu(), expected)


def test_a_strided_tensor_is_written_where_it_is():
    whole, updates = values(2, 8, 4), values(2, 1, 4, seed=1)
    on_npu = whole.npu()
    torch_npu.scatter_update_(on_npu[:, ::2], torch.tensor([3, 0]).npu(), updates.npu(), -2)
    expected = whole.clone()
    expected[0, 6], expected[1, 0] = updates[0, 0], updates[1, 0]
    assert torch.equal(on_npu.cpu(), expected)


@pytest.mark.parametrize(
    ("data", "indices", "updates", "axis", "text"),
    [
        ((2, 4, 3), (2,), (2, 1, 3), 0, "axis must be from -2 to 2 and not 0"),
        ((2, 4, 3), (2,), (2, 1, 4), -2, "do not fit into data"),
        ((2, 4, 3), (2,), (2, 5, 3), -2, "do not fit into data"),
        ((2, 4, 3), (3,), (3, 1, 3), -2, "must have 3 batches"),
        ((2, 4, 3), (2,), (1, 1, 3), -2, "must have 2 batches"),
        ((2, 4, 3), (), (2, 1, 3), -2, "must have 1 batches"),
        ((2, 4, 3), (2, 3), (2, 1, 3), -2, "indices must be a number"),
        ((2, 4, 3), (2,), (2, 3), -2, "the same number of dimensions"),
        ((2, 4, 3), (0,), (0, 1, 3), -2, "must not be empty"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(data, indices, updates, axis, text):
    """aclnnInplaceScatterUpdate.md, return values and constraints."""
    at = torch.zeros(indices, dtype=torch.int64).npu()
    with pytest.raises(RuntimeError, match=f"(?s){text}"):
        run_and_wait(
            torch_npu.scatter_update_, values(*data).npu(), at, values(*updates).npu(), axis
        )


def test_updates_have_the_dtype_of_the_data():
    at = torch.zeros(2, dtype=torch.int64).npu()
    with pytest.raises(RuntimeError, match=r"updates must be float32 .as data., got bfloat16"):
        run_and_wait(
            torch_npu.scatter_update_,
            values(2, 4, 3).npu(),
            at,
            values(2, 1, 3, dtype=torch.bfloat16).npu(),
            -2,
        )
