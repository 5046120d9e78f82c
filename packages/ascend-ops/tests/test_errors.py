# SPDX-License-Identifier: Apache-2.0
"""What does not fit together is refused, by name, before anything is written."""

import pytest
import torch
from batches import decode_batch

import ascend_ops

POSITIONS, STARTS, TABLE, BLOCK_SIZE, OUT = range(5)


def call(device, **changes):
    """Call with a good batch in which some arguments are replaced; `out` must stay untouched."""
    arguments = list(decode_batch().arguments(device))
    for name, change in changes.items():
        index = {"positions": POSITIONS, "starts": STARTS, "table": TABLE, "size": BLOCK_SIZE}.get(
            name, OUT
        )
        arguments[index] = change(arguments[index])
    out = arguments[OUT]
    before = out.clone()
    try:
        ascend_ops.slot_mapping(*arguments)
    finally:
        assert torch.equal(out, before)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"positions": lambda t: t.float()}, TypeError, "positions must be .*, but is Float"),
        ({"table": lambda t: t.short()}, TypeError, "block_table must be int32 or int64"),
        ({"out": lambda t: t.float()}, TypeError, "out must be int32 or int64"),
        ({"positions": lambda t: t[None]}, ValueError, r"positions must .* shape \[1, 3\]"),
        ({"table": lambda t: t[0]}, ValueError, "block_table must have 2 dimensions"),
        ({"starts": lambda t: t[:1]}, ValueError, "query_start_loc .* at least 2, but has 1"),
        ({"table": lambda t: t[:3]}, ValueError, "block_table has 3 rows for 4 requests"),
        ({"out": lambda t: t[:2]}, ValueError, "out has 2 elements for 3 tokens"),
        ({"size": lambda _: 0}, ValueError, "block_size must be positive, but is 0"),
    ],
)
def test_arguments_that_do_not_fit(device, changes, error, text):
    with pytest.raises(error, match=text):
        call(device, **changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"starts": lambda t: t + 1}, "from 0 to the number of tokens, 3, but runs from 1"),
        ({"starts": lambda t: t.clamp(max=2)}, "but runs from 0 to 2"),
        ({"starts": lambda t: torch.tensor([0, 9, 2, 2, 3])}, "must not fall, .* after request 1"),
        ({"positions": lambda t: t + 126}, "position 256 of token 1 is outside the 2 blocks"),
        ({"positions": lambda t: t - 1}, "position -1 of token 0"),
    ],
)
def test_values_that_break_the_contract_on_the_cpu(changes, text):
    with pytest.raises(ValueError, match=text):
        call(torch.device("cpu"), **changes)


@pytest.mark.npu
def test_tensors_on_two_devices(npu):
    with pytest.raises(ValueError, match="but block_table is on cpu and out is on npu"):
        call(npu, table=lambda t: t.cpu())


def test_tracing_refuses_what_running_refuses():
    with (
        torch._subclasses.FakeTensorMode(),
        pytest.raises(ValueError, match="block_table has 3 rows for 4 requests"),
    ):
        ascend_ops.slot_mapping(*_fake_arguments(rows=3))


def _fake_arguments(rows):
    ints = {"dtype": torch.int64}
    return (
        torch.empty(3, **ints),
        torch.empty(5, **ints),
        torch.empty(rows, 2, **ints),
        128,
        torch.empty(8, **ints),
    )
