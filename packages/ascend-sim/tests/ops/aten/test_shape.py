# SPDX-License-Identifier: Apache-2.0
"""Copies, fills, sequences and rearrangements."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from support.oracle import DTYPES, STRIDES, assert_same, strided, to_npu, values


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_copy_between_strides_and_dtypes_equals_cpu(dtype, strides):
    source = strided(values(6, 4), strides)
    assert_same(lambda t: (t.to(dtype), t.contiguous(), t.t().to(dtype)), source)


@pytest.mark.parametrize(
    "source", [torch.float32, torch.int64, torch.bool, torch.bfloat16], ids=str
)
@pytest.mark.parametrize("target", DTYPES, ids=str)
def test_cast_equals_cpu(source, target):
    # Not below 0: what a negative float becomes as an unsigned integer is undefined.
    assert_same(lambda t: t.to(target), (values(5, 5) * 3).abs().to(source))


def test_in_place_copy_broadcasts():
    assert_same(lambda a, b: a.copy_(b), values(4, 5), values(5, seed=1))


@pytest.mark.parametrize(
    "make",
    [
        lambda device: torch.arange(7, device=device),
        lambda device: torch.arange(1, 9, 2, device=device, dtype=torch.int32),
        lambda device: torch.arange(0.0, 1.0, 0.1, device=device),
        lambda device: torch.linspace(0, 1, 9, device=device),
        lambda device: torch.logspace(0, 1, 5, device=device),
        lambda device: torch.eye(3, 5, device=device),
        lambda device: torch.ones(3, 2, device=device),
        lambda device: torch.zeros(3, 2, device=device, dtype=torch.int64),
        lambda device: torch.full((2, 3), 4.5, device=device),
        lambda device: torch.full((2,), True, device=device),
        lambda device: torch.empty(3, 3, device=device).fill_(2).fill_diagonal_(1),
        lambda device: torch.ones(2, device=device).fill_(torch.tensor(3.0, device=device)),
        lambda device: torch.tensor([[1, 2], [3, 4]], device=device),
    ],
)
def test_sequences_and_fills_equal_cpu(make):
    torch.testing.assert_close(make("npu").cpu(), make("cpu"))


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize(
    "function",
    [
        lambda t: torch.cat([t, t], 0),
        lambda t: torch.cat([t, t[:, :1]], 1),
        lambda t: torch.stack([t, t], 1),
        lambda t: t.flip(0),
        lambda t: t.flip((0, 1)),
        lambda t: t.roll(2, 0),
        lambda t: t.roll((1, -1), (0, 1)),
        lambda t: t.repeat(2, 3),
        lambda t: t.tril(),
        lambda t: t.triu(1),
        lambda t: t.tril_(-1),
        lambda t: t.split([2, 4], 0),
        lambda t: t.chunk(2, 1),
        lambda t: F.pad(t, (1, 2)),
        lambda t: F.pad(t, (1, 0, 0, 1), value=3.0),
        lambda t: t.permute(1, 0).contiguous(),
        lambda t: t.repeat_interleave(2, 0),
        lambda t: t.repeat_interleave(3),
        lambda t: t.unsqueeze(1).expand(6, 2, 4).contiguous(),
        lambda t: t.reshape(-1),
        lambda t: t.reshape(3, 8),
        lambda t: t.diagonal().contiguous(),
        lambda t: t.trace(),
        lambda t: F.pad(t.unsqueeze(0), (1, 1), mode="replicate"),
        lambda t: F.pad(t.unsqueeze(0), (1, 1), mode="reflect"),
    ],
)
def test_rearrangement_equals_cpu(function, strides):
    if strides == "expanded":  # an in-place function may not write to it
        assert_same(lambda t: function(t.clone()), strided(values(6, 4), strides), exact=True)
    else:
        assert_same(function, strided(values(6, 4), strides), exact=True)


def test_repeat_interleave_with_counts_on_the_device():
    counts = torch.tensor([0, 2, 1, 3])
    assert_same(lambda t, n: t.repeat_interleave(n, 0), values(4, 3), counts)
    assert_same(lambda t, n: t.repeat_interleave(n, 0, output_size=6), values(4, 3), counts)
    assert_same(lambda n: torch.repeat_interleave(n), counts)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32], ids=str)
def test_one_hot_equals_cpu(dtype):
    assert_same(lambda t: F.one_hot(t.long(), 9), values(4, 3, dtype=dtype))


def test_printing_a_tensor_shows_its_numbers():
    text = repr(to_npu(torch.tensor([[1.5, -2.0], [3.0, 1e6]])))
    assert "1.5000e+00" in text
    assert "device='npu:0'" in text


def test_item_tolist_and_numpy():
    tensor = values(3, 2)
    assert tensor.npu().tolist() == tensor.tolist()
    assert tensor.npu()[1, 1].item() == tensor[1, 1].item()
