# SPDX-License-Identifier: Apache-2.0
"""A graph owns all that its replay touches, and gives it back when it is closed."""

import weakref

import pytest
import torch

from ascend_aclgraph import CaptureOptions, Graph, GraphStateError, updatable


def overwrite_free_memory():
    """Hand out what the allocator has free, filled with what no result should have."""
    torch.npu.synchronize()
    blocks = [torch.full((size,), float("nan"), device="npu") for size in (16, 256, 4096) * 50]
    torch.npu.synchronize()
    return blocks


def test_every_input_may_be_deleted_after_the_capture():
    # given a graph whose inputs are an argument, a closure, an attribute and a view
    class Owner:
        pass

    owner = Owner()
    owner.bias = torch.full((16,), 10.0, device="npu")
    held = {"x": torch.arange(16.0, device="npu"), "w": torch.full((4, 16), 2.0, device="npu")}
    graph = Graph.capture(lambda: held["x"] * held["w"][1] + owner.bias)
    expected = [2.0 * i + 10 for i in range(16)]

    # when all of them are deleted or rebound, and their memory would be given to others
    del owner.bias, held["w"]
    held["x"] = torch.zeros(16, device="npu")
    garbage = overwrite_free_memory()

    # then a replay still computes with the old ones
    assert graph.replay().tolist() == expected
    del garbage


def test_tensors_that_an_operator_written_in_python_reaches_for_are_kept():
    library = torch.library.Library("aclgraph_lifetime_test", "FRAGMENT")
    library.define("add_hidden(Tensor x, Tensor(a!) out) -> ()")
    hidden = {"cache": torch.full((16,), 5.0, device="npu")}

    def add_hidden(x, out):
        out.copy_(x + hidden["cache"])

    library.impl("add_hidden", add_hidden, "PrivateUse1")
    x, out = torch.ones(16, device="npu"), torch.zeros(16, device="npu")
    graph = Graph.capture(lambda: torch.ops.aclgraph_lifetime_test.add_hidden(x, out))

    hidden.clear()
    garbage = overwrite_free_memory()
    graph.replay()

    assert out.tolist() == [6.0] * 16
    del garbage


def test_arguments_of_updatable_tasks_are_kept(attention):
    graph = Graph.capture(attention.layers(2, [1, 1]))
    expected = [attention.expected([7, 9], scale) for scale in (1.0, 2.0)]

    for name in ("query", "key", "value", "table"):
        delattr(attention, name)
    garbage = overwrite_free_memory()
    outputs = graph.replay({attention.name: [7, 9]})

    for output, reference in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output.cpu(), reference)
    del garbage


def test_what_only_an_update_of_a_function_touches_is_kept():
    # given a task whose function may use either of two tensors, and has used one
    def choose(*, first, second, out, index):
        return torch.mul((first, second)[index], 2, out=out)

    held = {
        name: torch.full((16,), value, device="npu") for name, value in (("a", 1.0), ("b", 5.0))
    }
    out = torch.zeros(16, device="npu")

    def fn():
        updatable(choose, host_args=["index"], first=held["a"], second=held["b"], out=out, index=0)

    graph = Graph.capture(fn)

    # when both are deleted, and an update turns to the other one
    held.clear()
    garbage = overwrite_free_memory()
    graph.replay({"index": 1})

    # then it is still there
    assert out.tolist() == [10.0] * 16
    del garbage


def test_the_captured_function_itself_is_not_kept():
    class Function:
        def __call__(self):
            return None

    fn = Function()
    alive = weakref.ref(fn)
    graph = Graph.capture(fn)
    del fn
    assert alive() is None
    graph.close()


def test_keep_holds_what_operators_do_not_show():
    class Owner:
        pass

    owner = Owner()
    alive = weakref.ref(owner)
    graph = Graph.capture(lambda: None, options=CaptureOptions(keep=owner))
    del owner
    assert alive() is not None
    graph.close()
    assert alive() is None


def test_closing_gives_back_inputs_and_the_memory_of_the_graph():
    torch.npu.empty_cache()
    before = torch.npu.memory_reserved()
    inputs = [torch.zeros(1024, 1024, device="npu")]
    graph = Graph.capture(lambda: (inputs[0] + 1) * 2)
    inputs.clear()
    graph.replay()
    assert torch.npu.memory_reserved() >= before + 8 * 2**20

    graph.close()
    torch.npu.empty_cache()

    assert torch.npu.memory_reserved() == before


def test_close_is_idempotent_and_ends_a_with_block():
    with Graph.capture(lambda: None) as graph:
        assert not graph.closed
    assert graph.closed
    graph.close()
    graph.close()


def test_close_waits_for_a_replay_that_still_runs():
    x = torch.randn(256, 256, device="npu")
    total = torch.zeros(256, 256, device="npu")

    def work():
        y = x
        for _ in range(40):
            y = torch.tanh(y @ x)
        total.add_(y)

    graph = Graph.capture(work, options=CaptureOptions(warmup=0))
    graph.replay()
    graph.close()
    garbage = overwrite_free_memory()
    assert torch.isfinite(total).all()
    assert total.abs().sum() > 0
    del garbage


@pytest.mark.parametrize(
    "use",
    [
        lambda graph: graph.replay(),
        lambda graph: graph.outputs,
        lambda graph: graph.update(lengths=[1]),
        lambda graph: graph.dump("graph.json"),
    ],
    ids=["replay", "outputs", "update", "dump"],
)
def test_a_closed_graph_says_so(use):
    graph = Graph.capture(lambda: None, label=4)
    graph.close()
    with pytest.raises(GraphStateError, match="<Graph 4, closed> is closed"):
        use(graph)


def test_an_abandoned_graph_closes_itself():
    torch.npu.empty_cache()
    before = torch.npu.memory_reserved()
    inputs = [torch.zeros(1024, 1024, device="npu")]
    graph = Graph.capture(lambda: inputs[0] + 1)
    graph.replay()
    inputs.clear()
    del graph
    torch.npu.empty_cache()
    assert torch.npu.memory_reserved() == before


def test_the_destructor_raises_nothing_even_for_a_graph_that_never_was():
    graph = Graph.__new__(Graph)
    graph.__del__()
