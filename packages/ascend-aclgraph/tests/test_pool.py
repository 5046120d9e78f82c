# SPDX-License-Identifier: Apache-2.0
"""What graphs cost in memory, alone and together."""

import gc

import pytest
import torch

from ascend_aclgraph import (
    CaptureError,
    CaptureOptions,
    Graph,
    GraphCache,
    GraphStateError,
    MemoryPool,
)

MIB = 2**20
SIZES = (1, 2, 4, 8, 16, 32)
ROW = 256 * 1024  # floats: one row of an activation is 1 MiB


def chain(size):
    """A function with large temporaries and a large output."""
    x = torch.ones(size, 8, device="npu")

    def fn():
        y = x.repeat(1, ROW // 8)
        for _ in range(3):
            y = y * 2 + 1
        return y

    return fn


def reserved():
    gc.collect()  # tensors that earlier tests left in reference cycles
    torch.npu.synchronize()
    torch.npu.empty_cache()
    return torch.npu.memory_reserved()


def cost_of(capture):
    before = reserved()
    held = capture()
    return reserved() - before, held


def test_n_sizes_cost_about_the_largest_and_not_the_sum():
    # given what each size costs on its own
    single = {}
    for size in SIZES:
        single[size], graph = cost_of(lambda size=size: Graph.capture(chain(size)))
        graph.close()

    # when all are captured into one cache
    cache = GraphCache()
    together, _ = cost_of(lambda: cache.capture_all(SIZES, chain))

    # then they cost little more than the largest
    assert single[32] >= 64 * MIB, "the largest holds at least two activations of 32 MiB"
    assert together <= 1.1 * single[32]
    assert together < 0.7 * sum(single.values())
    # and all work
    for size in SIZES:
        output = cache.replay(size)
        assert output.shape == (size, ROW)
        assert output[:, ::4096].eq(15).all()
    cache.close()


def test_graphs_with_pools_of_their_own_cost_the_sum():
    """The opposite of the above: shows that its measure can tell the two apart."""
    apart, graphs = cost_of(lambda: [Graph.capture(chain(size)) for size in SIZES])
    shared, cache = cost_of(lambda: GraphCache())
    shared, _ = cost_of(lambda: cache.capture_all(SIZES, chain))
    assert apart > 1.5 * shared
    cache.close()
    del graphs


def test_held_outputs_are_not_given_to_the_next_graph_until_released():
    pool = MemoryPool()
    first = Graph.capture(chain(4), pool=pool, options=CaptureOptions(hold_outputs=True))
    taken = first.outputs.data_ptr()
    second = Graph.capture(chain(4), pool=pool)
    assert second.outputs.data_ptr() != taken
    first.release_outputs()
    third = Graph.capture(chain(4), pool=pool)
    blocks = {third.outputs.data_ptr(), second.outputs.data_ptr()}
    assert blocks == {taken, second.outputs.data_ptr()} or taken in blocks


def test_a_graph_can_read_the_held_output_of_the_one_before():
    """As the pieces of a piecewise graph do."""
    pool = MemoryPool()
    x = torch.ones(4, 64, device="npu")
    first = Graph.capture(lambda: x * 2, pool=pool, options=CaptureOptions(hold_outputs=True))
    second = Graph.capture(lambda: torch.tanh(first.outputs - 1) + 1, pool=pool)
    first.release_outputs()
    for value in (1.0, 0.5, 3.0):
        x.fill_(value)
        first.replay()
        expected = torch.tanh(torch.tensor(value * 2 - 1)) + 1
        torch.testing.assert_close(second.replay().cpu(), expected.expand(4, 64))


def test_outputs_that_are_inputs_stay_what_they_are():
    x = torch.zeros(3, device="npu")
    graph = Graph.capture(lambda: (x, x.add_(1)))
    same, added = graph.replay()
    assert same.data_ptr() == added.data_ptr() == x.data_ptr()
    assert same is x


def test_a_cache_finds_counts_and_closes_its_graphs():
    x = torch.ones(8, 2, device="npu")
    with GraphCache() as cache:
        cache.capture_all([2, 8, 4], lambda size: lambda: x[:size] + 1)
        assert list(cache) == [8, 4, 2], "largest first"
        assert len(cache) == 3
        assert 4 in cache
        assert 5 not in cache
        assert cache.get(5) is None
        with pytest.raises(KeyError, match="no graph was captured for 5; captured: 8, 4, 2"):
            cache[5]
        with pytest.raises(GraphStateError, match="already has a graph"):
            cache.capture(4, lambda: None)
        cache.replay(4)
        graph = cache[4]
        cache.discard(4)
        cache.discard(4)
        assert graph.closed
        assert cache.stats.captures == {8: 1, 4: 1, 2: 1}
        assert cache.stats.of(4).replays == 1
    assert len(cache) == 0


def test_a_failed_capture_in_a_pool_leaves_the_other_graphs_and_no_memory():
    cache = GraphCache()
    cache.capture(8, chain(8))
    fn = chain(4)
    before = reserved()

    def fail():
        fn()
        raise ValueError("no")

    with pytest.raises(CaptureError):
        cache.capture(4, fail, options=CaptureOptions(warmup=0))
    assert 4 not in cache
    assert reserved() == before
    assert cache.replay(8)[0, 0].item() == 15
    cache.capture(4, chain(4))
    assert cache.replay(4)[0, 0].item() == 15
    cache.close()


def test_a_pool_returns_all_memory_when_its_last_graph_is_closed():
    before = reserved()
    pool = MemoryPool()
    graphs = [Graph.capture(chain(size), pool=pool) for size in (4, 2)]
    assert reserved() > before
    graphs[0].close()
    graphs[1].replay()
    assert graphs[1].outputs[0, 0].item() == 15
    graphs[1].close()
    assert reserved() == before


def test_a_pool_whose_first_capture_failed_can_be_used():
    pool = MemoryPool()
    with pytest.raises(CaptureError):
        Graph.capture(
            lambda: torch.ones(4, device="npu") / (1 // 0),
            pool=pool,
            options=CaptureOptions(warmup=0),
        )
    with Graph.capture(chain(2), pool=pool) as graph:
        assert graph.replay()[0, 0].item() == 15
