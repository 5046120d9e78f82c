# SPDX-License-Identifier: Apache-2.0
"""Rarer forms of operators: with the number first, with sizes of their own, by another name."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import torch_npu
from support.aclnn import call
from support.oracle import FLOATS, assert_same, strided, values


@pytest.mark.parametrize("name", ["acos", "gcd", "logaddexp2", "complex", "polar", "isin"])
def test_function_equals_cpu(name):
    left, right = values(5, 4).frac() * 0.9, values(5, 4, seed=1)
    if name == "acos":
        assert_same(torch.acos, left)
    elif name == "gcd":
        integers = torch.int32
        assert_same(
            torch.gcd, values(5, 4, dtype=integers), values(5, 4, dtype=integers, seed=1) * 6
        )
    elif name == "isin":
        assert_same(lambda t: torch.isin(3, t), torch.tensor([1, 3, 5]))
        assert_same(lambda t: torch.isin(4, t, invert=True), torch.tensor([1, 3, 5]))
    elif name in ("complex", "polar"):
        assert_same(lambda a, b: torch.view_as_real(getattr(torch, name)(a, b)), left.abs(), right)
    else:
        assert_same(getattr(torch, name), left, right)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: torch.rsub(t, t * 2, alpha=3),
        lambda t: torch.add(t, t.flip(0), alpha=3),
        lambda t: torch.sub(t, t.flip(0), alpha=3),
        lambda t: torch.sub(t, 2.5, alpha=3),
        lambda t: torch.add(t, 2.5, alpha=3),
        lambda t: t.clone().sub_(2.5, alpha=3),
        lambda t: t.clone().add_(2.5, alpha=3),
        lambda t: torch.remainder(7.5, t),
        lambda t: torch.xlogy(2.5, t),
        lambda t: torch.xlogy(t, 2.5),
        lambda t: torch.clamp_min(t, 0.7),
        lambda t: torch.clamp_max(t, 0.7),
        lambda t: torch.clamp_max(t, t.flip(0)),
        lambda t: torch.clamp(t, max=t.flip(0)),
        lambda t: t.clone().clamp_(min=t.flip(0)),
        lambda t: F.hardshrink(t - 1, 0.3),
        lambda t: F.threshold(t, 0.7, -3.0),
        lambda t: torch.aminmax(t),
        lambda t: torch.aminmax(t, dim=1),
        lambda t: torch.aminmax(t, dim=0, keepdim=True),
        lambda t: torch.norm(t),
        lambda t: torch.norm(t, p=3, dim=1),
        lambda t: torch.nanmedian(t),
        lambda t: torch.nanmedian(t, 1),
        lambda t: torch.split_with_sizes_copy(t, [1, 4], 0),
        lambda t: F.pad(t[None, None], (1, 2, 2, 1), mode="reflect"),
        lambda t: F.pad(t[None, None], (1, 2, 3, 1), mode="replicate"),
        lambda t: F.pad(t[None, None, None], (1, 2, 2, 1, 0, 0), mode="reflect"),
        lambda t: F.pad(t[None, None, None], (1, 2, 3, 1, 1, 0), mode="replicate"),
    ],
)
@pytest.mark.parametrize("strides", ["contiguous", "transposed", "every second"])
def test_form_equals_cpu(function, strides):
    assert_same(function, strided(values(5, 4).abs() + 0.1, strides))


def test_number_on_the_left_of_a_sum():
    assert_same(lambda t: torch.add(torch.tensor(2.5), t, alpha=3), values(5, 4))


@pytest.mark.parametrize("name", ["ge", "gt", "le", "lt"])
def test_number_on_the_left_of_a_comparison(name):
    # torch_npu computes 2 >= t as t < 2: no element is 2 here.
    tensor = torch.tensor([1.0, 1.5, 3.0] if name == "ge" else [1.0, 2.0, 3.0])
    assert_same(lambda t: getattr(torch, name)(torch.tensor(2.0), t), tensor)


def test_less_than_a_number_by_its_other_name():
    tensor, out = torch.tensor([1.0, 2.0, 3.0]).npu(), torch.zeros(3, dtype=torch.bool).npu()
    call("aclnnLessScalar", tensor, 2.0, out)
    assert out.tolist() == [True, False, False]


def test_range_includes_its_end():
    with pytest.warns(UserWarning, match="torch.range is deprecated"):
        numbers = torch.range(1, 9, 2, device="npu")
    assert numbers.tolist() == [1.0, 3.0, 5.0, 7.0, 9.0]


def test_repeats_that_a_tensor_tells():
    repeats = torch.tensor([0, 2, 1, 3, 0])
    assert_same(lambda t, r: t.flatten()[:5].repeat_interleave(r), values(5, 4), repeats)
    assert_same(lambda t, r: t.repeat_interleave(r, 0), values(5, 4), repeats)


def test_repeats_of_a_number_of_rows():
    out = torch.zeros(6).npu()
    tensor, repeats = values(3).npu(), torch.tensor([1, 2, 3]).npu()
    call("aclnnRepeatInterleave", tensor, repeats, 6, out)
    assert torch.equal(out.cpu(), tensor.cpu().repeat_interleave(repeats.cpu()))


def test_place_of_a_number_in_a_sorted_sequence():
    numbers = torch.tensor([1.0, 2.0, 2.0, 5.0])
    for right in (False, True):
        assert_same(lambda t, r=right: torch.searchsorted(t, 2.0, right=r), numbers)
        assert_same(lambda t, r=right: torch.bucketize(t, t, right=r), numbers)
        assert_same(lambda t, r=right: torch.bucketize(t, t, right=r, out_int32=True), numbers)


def test_unique_values_and_where_they_were():
    numbers = torch.tensor([3, 1, 3, 2, 1])
    unique, inverse = torch._unique(numbers.npu(), True, True)
    assert unique.tolist() == [1, 2, 3]
    assert torch.equal(unique[inverse].cpu(), numbers)


def test_rows_added_at_an_index():
    tensor, index, source = values(4, 3), torch.tensor([1, 1, 3]), values(3, 3, seed=1)
    actual = torch_npu._npu_index_add(tensor.npu(), index.npu(), source.npu(), alpha=2)
    torch.testing.assert_close(actual.cpu(), tensor.index_add(0, index, source, alpha=2))


def test_rows_written_at_coordinates():
    tensor, updates = values(4, 3, 2), values(2, 2, seed=1)
    indices = torch.tensor([[1, 2], [3, 0]])
    actual = torch_npu.npu_scatter_nd_update(tensor.npu(), indices.npu(), updates.npu())
    tensor[1, 2], tensor[3, 0] = updates[0], updates[1]
    assert torch.equal(actual.cpu(), tensor)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_fast_gelu_follows_its_formula(dtype):
    x = values(4, 8, dtype=dtype)
    wide = x.float()
    expected = wide / (1 + (-1.702 * wide.abs()).exp()) * (0.851 * (wide - wide.abs())).exp()
    actual = torch_npu.npu_fast_gelu(x.npu()).cpu()
    torch.testing.assert_close(actual, expected.to(dtype), rtol=1.6e-2, atol=1.6e-2)


def test_log_sigmoid_by_its_other_name():
    x = values(4, 8)
    out = torch.zeros(4, 8).npu()
    call("aclnnLogSigmoid", x.npu(), out)
    torch.testing.assert_close(out.cpu(), F.logsigmoid(x))


def test_rows_filled_at_indices_that_the_host_knows():
    tensor, out = values(5, 4), torch.zeros(5, 4).npu()
    expected = tensor.index_fill(0, torch.tensor([3, 0]), 7)
    in_place = tensor.npu()
    call("aclnnIndexFillTensor", in_place, 0, [3, 0], 7, out)
    assert torch.equal(out.cpu(), expected)
    call("aclnnInplaceIndexFillTensor", in_place, 0, [3, 0], 7)
    assert torch.equal(in_place.cpu(), expected)


@pytest.mark.parametrize("right", [False, True])
def test_buckets_of_numbers(right):
    numbers, bounds = torch.tensor([[0.5, 2.0], [3.0, 9.0]]), torch.tensor([1.0, 2.0, 4.0])
    out = torch.zeros(2, 2, dtype=torch.int64).npu()
    call("aclnnBucketize", numbers.npu(), bounds.npu(), False, right, out)
    assert torch.equal(out.cpu(), torch.bucketize(numbers, bounds, right=right))


@pytest.mark.parametrize("strides", ["contiguous", "transposed"])
def test_smallest_and_largest(strides):
    tensor = strided(values(5, 4), strides)
    on_npu = tensor.npu()
    low, high = torch.zeros(()).npu(), torch.zeros(()).npu()
    call("aclnnAminmaxAll", on_npu, low, high)
    assert (low.item(), high.item()) == (tensor.min().item(), tensor.max().item())
    for keep in (False, True):
        expected = torch.aminmax(tensor, dim=1, keepdim=keep)
        lows, highs = torch.zeros_like(expected.min).npu(), torch.zeros_like(expected.max).npu()
        call("aclnnAminmaxDim", on_npu, 1, keep, lows, highs)
        assert torch.equal(lows.cpu(), expected.min)
        assert torch.equal(highs.cpu(), expected.max)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_norm_of_rows(power):
    tensor, out = values(5, 4), torch.zeros(5, 1).npu()
    call("aclnnNorm", tensor.npu(), power, [1], True, out)
    torch.testing.assert_close(out.cpu(), tensor.norm(power, 1, keepdim=True))


def test_parts_of_given_sizes():
    tensor, parts = values(5, 4), [torch.zeros(2, 4).npu(), torch.zeros(3, 4).npu()]
    call("aclnnSplitWithSize", tensor.npu(), [2, 3], 0, parts)
    assert torch.equal(torch.cat(parts).cpu(), tensor)


def test_any_number_that_the_dtype_holds():
    """The same seed and offset give the same numbers, as arguments or in tensors."""
    first, again, other = (torch.zeros(20000).npu() for _ in range(3))
    call("aclnnInplaceRandomWithoutFromTo", first, 5, 16)
    seed, offset = torch.tensor([5]).npu(), torch.tensor([12]).npu()
    call("aclnnInplaceRandomWithoutFromToTensor", again, seed, offset, 4)
    call("aclnnInplaceRandomWithoutFromToTensor", other, seed, offset, 8)
    assert torch.equal(first.cpu(), again.cpu())
    assert not torch.equal(first.cpu(), other.cpu())
    assert first.cpu().mean().item() == pytest.approx(2**23, rel=0.02)
