# SPDX-License-Identifier: Apache-2.0
"""graphed() and functions that write into their arguments: as in eager mode, call after call."""

import logging

import pytest
import torch

from ascend_aclgraph import CaptureOptions, graphed
from ascend_aclgraph.errors import BatchInputError

WIDTH, SLOTS = 4, 16


def decode(x, slots, cache):
    """Write rows into a cache, and read what all calls so far have written."""
    cache.index_copy_(0, slots, x)
    return x + cache.sum(0)


def step_inputs(step, rows):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(rows, WIDTH, generator=generator)
    return x, torch.arange(rows) + rows * step


def assert_like_eager(fast, fn, cache, calls, rows=2):
    """Call both on the same inputs; the oracle has a cache of its own on the CPU."""
    oracle = cache.cpu().clone()
    for step in range(calls):
        x, slots = step_inputs(step, rows)
        expected = fn(x, slots, oracle)
        result = fast(x.npu(), slots.npu(), cache)
        torch.testing.assert_close(result.cpu(), expected)
        torch.testing.assert_close(cache.cpu(), oracle)


@pytest.mark.parametrize("warmup", [0, 1, 2])
def test_an_unbatched_cache_is_written_once_per_call(warmup):
    fast = graphed(decode, (2,), unbatched=["cache"], options=CaptureOptions(warmup=warmup))
    cache = torch.zeros(SLOTS, WIDTH, device="npu")
    assert_like_eager(fast, decode, cache, calls=4)
    assert fast.stats.replays == 4


def test_an_unbatched_cache_is_not_copied():
    fast = graphed(decode, (2,), unbatched=["cache"], options=CaptureOptions(warmup=0))
    cache = torch.zeros(2**20, WIDTH, device="npu")
    x, slots = (tensor.npu() for tensor in step_inputs(0, 2))
    fast(x, slots, cache)
    torch.npu.reset_peak_memory_stats()
    before = torch.npu.memory_allocated()
    fast(x, slots, cache)
    assert torch.npu.max_memory_allocated() - before < 2**20


@pytest.mark.parametrize(
    "make_cache",
    [
        lambda: torch.zeros(WIDTH, SLOTS, device="npu").t(),
        lambda: torch.zeros(2 * SLOTS, 2 * WIDTH, device="npu")[::2, 1 : WIDTH + 1],
        lambda: torch.zeros(3, SLOTS, WIDTH, device="npu")[1],
    ],
    ids=["transposed", "strided", "a view of a larger cache"],
)
def test_a_cache_may_be_a_view(make_cache):
    fast = graphed(decode, (2,), unbatched=["cache"])
    assert_like_eager(fast, decode, make_cache(), calls=3)


def test_a_cache_of_another_dtype_has_graphs_of_its_own():
    def count(x, slots, cache):
        cache.index_add_(0, slots, torch.ones_like(slots, dtype=cache.dtype))
        return x + cache.sum()

    fast = graphed(count, (2,), unbatched=["cache"])
    for dtype in (torch.float32, torch.int32, torch.float32):
        assert_like_eager(fast, count, torch.zeros(SLOTS, dtype=dtype, device="npu"), calls=3)


def test_another_cache_in_a_later_call_is_written_and_the_first_is_left_alone():
    fast = graphed(decode, (2,), unbatched=["cache"])
    caches = [torch.full((SLOTS, WIDTH), float(value), device="npu") for value in range(3)]
    oracles = [cache.cpu().clone() for cache in caches]
    for step, which in enumerate([0, 0, 1, 2, 0, 1]):
        x, slots = step_inputs(step, 2)
        expected = decode(x, slots, oracles[which])
        result = fast(x.npu(), slots.npu(), caches[which])
        torch.testing.assert_close(result.cpu(), expected)
        for cache, oracle in zip(caches, oracles, strict=True):
            torch.testing.assert_close(cache.cpu(), oracle)
    assert sum(fast.stats.captures.values()) == 2, "captured once more, and then copied"


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "rows of a larger tensor"])
def test_a_batched_argument_gets_back_the_rows_that_are_real(rows, layout):
    def update(state, x):
        state.mul_(0.5).add_(x)
        return state * 2

    fast = graphed(update, (1, 2, 4))
    whole = {
        "contiguous": torch.zeros(rows, WIDTH, device="npu"),
        "transposed": torch.zeros(WIDTH, rows, device="npu"),
        "rows of a larger tensor": torch.zeros(rows + 2, WIDTH, device="npu"),
    }[layout]
    oracle = whole.cpu().clone()
    views = {
        "contiguous": lambda tensor: tensor,
        "transposed": torch.Tensor.t,
        "rows of a larger tensor": lambda tensor: tensor[1 : rows + 1],
    }
    view = views[layout]
    for step in range(4):
        x, _ = step_inputs(step, rows)
        expected = update(view(oracle), x)
        torch.testing.assert_close(fast(view(whole), x.npu()).cpu(), expected)
        torch.testing.assert_close(whole.cpu(), oracle)


def test_arguments_that_are_only_read_stay_what_they_are():
    fast = graphed(lambda x, table: (x + table.sum()).mul_(2), (2,), unbatched=["table"])
    x, table = torch.ones(2, 3, device="npu"), torch.ones(5, device="npu")
    versions = x._version, table._version
    for _ in range(3):
        assert fast(x, table).tolist() == [[12.0] * 3] * 2
    assert (x._version, table._version) == versions


def test_rows_of_padding_write_nothing_into_a_cache(caplog):
    # given a function that would write rows of zeros into slot 0 for padding
    fast = graphed(decode, (2, 4), unbatched=["cache"])
    cache = torch.ones(SLOTS, WIDTH, device="npu")
    with caplog.at_level(logging.WARNING, "ascend_aclgraph"):
        assert_like_eager(fast, decode, cache, calls=3, rows=3)
    assert fast.stats.eager_calls == 3
    assert len(caplog.records) == 1
    assert "3 rows would be padded, and padding would write into 'cache'" in caplog.text


def test_capturing_in_advance_writes_nothing_into_the_arguments():
    cache = torch.ones(SLOTS, WIDTH, device="npu")
    x, slots = (tensor.npu() for tensor in step_inputs(0, 2))
    graphed(decode, (2, 4), unbatched=["cache"], example_inputs=(x, slots, cache))
    assert cache.eq(1).all()


def test_unbatched_arguments_may_overlap_when_they_are_the_callers_own():
    def write_then_read(x, cache, first):
        cache.add_(1)
        return x + first

    fast = graphed(write_then_read, (2,), unbatched=["cache", "first"])
    cache, x = torch.zeros(3, WIDTH, device="npu"), torch.zeros(2, WIDTH, device="npu")
    for call in range(1, 4):
        assert fast(x, cache, cache[0]).eq(call).all()


def test_a_written_argument_that_overlaps_a_copied_one_is_refused_by_name():
    def write_then_read(x, y):
        x.add_(1)
        return x + y

    fast = graphed(write_then_read, (2,))
    x = torch.zeros(2, WIDTH, device="npu")
    with pytest.raises(BatchInputError, match=r"'x', which shares memory with the argument 'y'"):
        fast(x, x)
    assert x.eq(0).all()
    assert fast(x, x.clone()).eq(1).all()
