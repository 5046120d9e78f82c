# SPDX-License-Identifier: Apache-2.0
"""Graphs through torch_npu: what a replay repeats, and what it takes anew."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch_npu
from torch_npu.npu._npugraph_conditional_nodes import NPUGraphCaptureControlFlowOpDispatchMode


def capture(function: Callable[[], torch.Tensor], **options: object):
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph, **options):
        result = function()
    return graph, result


# --- random numbers ---


def test_each_replay_draws_numbers_of_its_own_and_a_seed_repeats_them() -> None:
    graph, drawn = capture(lambda: torch.rand(64, device="npu"))
    torch.npu.manual_seed(7)
    draws = []
    for _ in range(3):
        graph.replay()
        draws.append(drawn.clone())
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[1], draws[2])
    torch.npu.manual_seed(7)
    graph.replay()
    assert torch.equal(drawn, draws[0])


def test_replays_and_eager_calls_share_one_sequence() -> None:
    torch.npu.manual_seed(3)
    first, second = (torch.rand(64, device="npu") for _ in range(2))
    graph, drawn = capture(lambda: torch.rand(64, device="npu"))
    torch.npu.manual_seed(3)
    graph.replay()
    assert torch.equal(drawn, first)
    assert torch.equal(torch.rand(64, device="npu"), second)


def test_a_generator_of_ones_own_is_registered_with_the_graph() -> None:
    generator = torch.Generator("npu")
    generator.manual_seed(5)
    expected = torch.rand(16, device="npu", generator=generator)
    graph = torch.npu.NPUGraph()
    graph.register_generator_state(generator)
    with torch.npu.graph(graph):
        drawn = torch.rand(16, device="npu", generator=generator)
    generator.manual_seed(5)
    graph.replay()
    assert torch.equal(drawn, expected)
    state = generator.get_state()
    graph.replay()
    later = drawn.clone()
    generator.set_state(state)
    graph.replay()
    assert torch.equal(drawn, later)


# --- callables ---


@pytest.mark.filterwarnings("ignore:The AccumulateGrad node's stream:UserWarning")
def test_graphed_callables_give_the_same_outputs_and_gradients() -> None:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(8, 16), torch.nn.Linear(16, 4)]
    model, reference = torch.nn.Sequential(*layers), torch.nn.Sequential(*copy.deepcopy(layers))
    model = model.npu()
    sample = torch.randn(3, 8, device="npu", requires_grad=True)
    graphed = torch.npu.make_graphed_callables(model, (sample,))
    for seed in (1, 2):
        x = torch.randn(3, 8, generator=torch.Generator().manual_seed(seed))
        on_npu, on_cpu = x.npu().requires_grad_(), x.clone().requires_grad_()
        model.zero_grad()
        reference.zero_grad()
        output, expected = graphed(on_npu), reference(on_cpu)
        torch.testing.assert_close(output.detach().cpu(), expected.detach())
        output.square().sum().backward()
        expected.square().sum().backward()
        torch.testing.assert_close(on_npu.grad.cpu(), on_cpu.grad)
        for got, want in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(got.grad.cpu(), want.grad)


# --- updates ---


def test_update_changes_the_host_arguments_of_captured_attention() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, 4, rows, 64, generator=generator).half().npu() for rows in (1, 128, 128)
    )

    def attend(length: int) -> torch.Tensor:
        return torch_npu.npu_fused_infer_attention_score(
            query,
            key,
            value,
            num_heads=4,
            input_layout="BNSD",
            scale=0.125,
            actual_seq_lengths_kv=[length],
        )[0]

    expected = {length: attend(length).cpu() for length in (29, 100)}
    graph, output = capture(lambda: attend(29), auto_dispatch_capture=True)
    for length in (100, 29, 100):
        graph.update(cpu_update_input=[{"actual_seq_lengths_kv": [length]}])
        graph.replay()
        torch.testing.assert_close(output.cpu(), expected[length], rtol=0, atol=0)


# --- conditions ---


def test_torch_cond_takes_the_branch_that_the_predicate_has_at_each_replay() -> None:
    x = torch.arange(4.0, device="npu")
    flag = torch.tensor(True, device="npu")
    graph = torch.npu.NPUGraph()
    with torch.npu.graph(graph), NPUGraphCaptureControlFlowOpDispatchMode():
        result = torch.cond(flag, lambda t: t + 10, lambda t: t * -1, (x,))
    for taken, expected in ((True, x + 10), (False, -x), (True, x + 10)):
        flag.fill_(taken)
        graph.replay()
        assert torch.equal(result, expected), taken


# --- host functions ---


def test_a_host_function_runs_at_each_replay_in_order_with_the_stream() -> None:
    stream, calls = torch.npu.Stream(), []
    host = torch.zeros(1, pin_memory=True)
    x = torch.zeros(1, device="npu")
    torch_npu.npu._subscribe_report(stream)
    try:
        graph = torch.npu.NPUGraph()
        with torch.npu.graph(graph, stream=stream):
            x += 1
            host.copy_(x, non_blocking=True)
            torch_npu.npu._launch_host_func(stream, lambda seen: calls.append(host.item()), None)
            y = x * 2
        for _ in range(3):
            graph.replay()
        torch.npu.synchronize()
    finally:
        torch_npu.npu._unsubscribe_report(stream)
    assert calls == [1, 2, 3]
    assert y.item() == 6


# --- what a capture forbids ---


def test_a_synchronization_within_a_capture_is_refused_by_name() -> None:
    x, graph = torch.ones(4, device="npu"), torch.npu.NPUGraph()
    with pytest.raises(RuntimeError, match="captured"), torch.npu.graph(graph):
        (x + 1).cpu()
    graph, y = capture(lambda: x + 2)  # and the next capture is not impaired
    graph.replay()
    assert y.tolist() == [3] * 4
