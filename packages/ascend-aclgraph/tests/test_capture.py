# SPDX-License-Identifier: Apache-2.0
"""What a capture does, and what it leaves."""

import pytest
import torch

from ascend_aclgraph import CaptureOptions, Graph, MemoryPool


def test_a_capture_runs_the_function_after_its_warm_ups_but_computes_nothing_new():
    calls = []
    x = torch.zeros(4, device="npu")

    def add_one():
        calls.append(torch.npu.is_current_stream_capturing())
        return x.add_(1)

    Graph.capture(add_one, options=CaptureOptions(warmup=2))

    assert calls == [False, False, True]
    assert x.tolist() == [2.0] * 4, "only the warm-ups may have run on the device"


def test_outputs_keep_their_nesting():
    x = torch.ones(2, device="npu")
    graph = Graph.capture(lambda: {"sum": x + x, "rest": (x * 3, [None, "text"])})
    outputs = graph.replay()
    assert outputs["sum"].tolist() == [2.0, 2.0]
    assert outputs["rest"][0].tolist() == [3.0, 3.0]
    assert outputs["rest"][1] == [None, "text"]


def test_outputs_carry_no_gradient():
    weight = torch.ones(2, device="npu", requires_grad=True)
    assert not Graph.capture(lambda: weight * 2).replay().requires_grad


def test_inference_mode_and_plain_mode_give_the_same_graph():
    x = torch.arange(4.0, device="npu")
    with torch.inference_mode():
        inference = Graph.capture(lambda: x * 2)
        inside = inference.replay().tolist()
    assert inside == inference.replay().tolist() == [0.0, 2.0, 4.0, 6.0]


@pytest.mark.parametrize("mode", ["global", "thread_local", "relaxed"])
def test_every_capture_error_mode_captures(mode):
    x = torch.ones(2, device="npu")
    graph = Graph.capture(lambda: x + 1, options=CaptureOptions(capture_error_mode=mode))
    assert graph.replay().tolist() == [2.0, 2.0]


def test_a_given_stream_is_captured_on():
    stream = torch.npu.Stream()
    x = torch.ones(2, device="npu")
    seen = []

    def fn():
        seen.append(torch.npu.current_stream())
        return x + 1

    Graph.capture(fn, options=CaptureOptions(stream=stream, warmup=0))
    assert seen == [stream]


def test_a_stream_that_forks_and_joins_is_part_of_the_graph():
    side = torch.npu.Stream()
    x = torch.ones(8, device="npu")

    def fork_and_join():
        main = torch.npu.current_stream()
        side.wait_stream(main)
        with torch.npu.stream(side):
            doubled = x * 2
        tripled = x * 3
        main.wait_stream(side)
        return doubled + tripled

    graph = Graph.capture(fork_and_join)
    x.fill_(10)
    assert graph.replay().tolist() == [50.0] * 8


def test_random_numbers_differ_from_replay_to_replay():
    graph = Graph.capture(lambda: torch.rand(64, device="npu"))
    first = graph.replay().clone()
    assert not torch.equal(first, graph.replay())


def test_a_compiled_function_can_be_captured():
    x = torch.arange(6.0, device="npu").view(2, 3)
    compiled = torch.compile(lambda: torch.relu(x - 2) * 3, backend="eager")
    graph = Graph.capture(compiled)
    x.add_(1)
    assert graph.replay().tolist() == [[0.0, 0.0, 3.0], [6.0, 9.0, 12.0]]


def test_a_graph_is_not_made_by_its_constructor():
    with pytest.raises(TypeError, match=r"Graph\.capture"):
        Graph()


def test_an_empty_function_gives_a_graph_without_outputs():
    assert Graph.capture(lambda: None).replay() is None


def test_a_pool_can_be_made_from_a_handle_of_torch_npu():
    token = torch.npu.graph_pool_handle()
    x = torch.ones(2, device="npu")
    graph = Graph.capture(lambda: x + 1, pool=MemoryPool(token))
    assert graph.pool.token == token
    assert graph.replay().tolist() == [2.0, 2.0]


def test_a_graph_names_its_label_and_state():
    with Graph.capture(lambda: None, label=("decode", 8)) as graph:
        assert repr(graph) == "<Graph ('decode', 8), captured>"
    assert repr(graph) == "<Graph ('decode', 8), closed>"
