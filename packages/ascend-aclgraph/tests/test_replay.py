# SPDX-License-Identifier: Apache-2.0
"""What replays compute, and in which order they run on the device."""

import json
import threading

import pytest
import torch

from ascend_aclgraph import CaptureOptions, Graph, GraphStateError, MemoryPool


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replay_gives_the_bits_of_eager_mode(dtype):
    x = torch.randn(8, 32, device="npu", dtype=dtype)
    weight = torch.randn(32, 32, device="npu", dtype=dtype)

    def fn():
        return torch.softmax(torch.nn.functional.silu(x @ weight) + x, dim=-1)

    graph = Graph.capture(fn)
    for _ in range(3):
        x.copy_(torch.randn(8, 32, dtype=dtype))
        assert torch.equal(graph.replay(), fn())


def test_a_replay_reads_the_values_that_inputs_have_when_it_runs():
    x = torch.zeros(3, device="npu")
    graph = Graph.capture(lambda: x + 1)
    seen = []
    for value in range(5):
        x.fill_(value)
        seen.append(graph.replay().clone())
    assert torch.stack(seen)[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_replays_in_a_row_run_in_order_though_the_host_is_far_ahead(gate):
    x = torch.zeros(1, device="npu")
    graph = Graph.capture(lambda: x.mul_(2).add_(1), options=CaptureOptions(warmup=0))
    gate.close()
    for _ in range(20):
        graph.replay()
    gate.open()
    assert x.item() == 2.0**20 - 1


def test_a_replay_on_another_stream_waits_for_the_last_one(gate):
    first, second = torch.npu.Stream(), torch.npu.Stream()
    x = torch.ones(1, device="npu")
    graph = Graph.capture(lambda: x.mul_(3).add_(1), options=CaptureOptions(warmup=0))
    torch.npu.synchronize()
    gate.close(first)
    with torch.npu.stream(first):
        graph.replay()
    with torch.npu.stream(second):
        graph.replay()
        waits = torch.npu.Event()
        waits.record(second)
    assert not waits.query(), "the second replay must not overtake the first"
    gate.open()
    torch.npu.synchronize()
    assert x.item() == 13.0


def test_graphs_of_one_pool_do_not_overlap_on_two_streams(gate):
    pool = MemoryPool()
    first, second = torch.npu.Stream(), torch.npu.Stream()
    x = torch.ones(4, device="npu")
    results = torch.zeros(2, 4, device="npu")
    one = Graph.capture(lambda: results[0].copy_((x + 1) * 2), pool=pool)
    two = Graph.capture(lambda: results[1].copy_((x + 5) * 2), pool=pool)
    torch.npu.synchronize()
    results.zero_()
    torch.npu.synchronize()
    gate.close(first)
    with torch.npu.stream(first):
        one.replay()
    with torch.npu.stream(second):
        two.replay()
        waits = torch.npu.Event()
        waits.record(second)
    assert not waits.query()
    gate.open()
    torch.npu.synchronize()
    assert results[:, 0].tolist() == [4.0, 12.0]


def test_two_threads_that_replay_one_graph_at_once_get_an_error(attention):
    inside, leave = threading.Event(), threading.Event()

    def slow_lengths(record):
        inside.set()
        assert leave.wait(10)
        return {attention.name: [1, 1]}

    graph = Graph.capture(attention.layers(1, [2, 2]))
    thread = threading.Thread(target=graph.replay, args=(slow_lengths,))
    thread.start()
    assert inside.wait(10)
    with pytest.raises(GraphStateError, match="another thread"):
        graph.replay()
    leave.set()
    thread.join()


def test_a_dump_is_a_chrome_trace_of_the_tasks(tmp_path):
    x = torch.ones(4, device="npu")
    graph = Graph.capture(lambda: (x + 1).relu())
    path = graph.dump(tmp_path / "graph.json")
    trace = json.loads(path.read_text())
    assert len(trace) >= 2, "two operators were captured"
    assert all({"name", "ph", "ts", "args"} <= task.keys() for task in trace)
