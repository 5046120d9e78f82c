# SPDX-License-Identifier: Apache-2.0
"""A wrapper captures a graph per batch descriptor, in its own mode only, and explains failures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from ascend_aclgraph import CaptureError, GraphInputError
from ascend_core import AclCaptureError
from vllm.compilation.monitor import set_cudagraph_capturing_enabled
from vllm.config import CompilationConfig, CUDAGraphMode, VllmConfig
from vllm.forward_context import BatchDescriptor, get_forward_context, set_forward_context

from ascend_vllm_plugin.attention import NpuAttentionImpl, NpuAttentionMetadata
from ascend_vllm_plugin.graph_wrapper import NpuGraphWrapper

CONFIG = VllmConfig(compilation_config=CompilationConfig(mode=0))
CHECKING = VllmConfig(
    compilation_config=CompilationConfig(mode=0), additional_config={"check_graph_inputs": True}
)


@pytest.fixture(autouse=True)
def capturing_is_allowed() -> Iterator[None]:
    set_cudagraph_capturing_enabled(True)
    yield
    set_cudagraph_capturing_enabled(False)


@contextmanager
def step(mode: CUDAGraphMode, tokens: int = 4, metadata: object = None) -> Iterator[None]:
    with set_forward_context(
        metadata, CONFIG, cudagraph_runtime_mode=mode, batch_descriptor=BatchDescriptor(tokens)
    ):
        yield


class Model:
    """Doubles its input, and counts how often its Python code runs."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * 2


class TwoLayers:
    """Attention of one query to a cache of random numbers, in two layers."""

    def __init__(self) -> None:
        self.layers = [SimpleNamespace(layer_name=name) for name in ("full", "window")]
        self.attention = [NpuAttentionImpl(1, 32, 1.0, sliding_window=w) for w in (None, 5)]
        self.caches = torch.randn(2, 2, 1, 128, 64).npu()

    def __call__(self, query: torch.Tensor) -> torch.Tensor:
        metadata, outputs = (
            get_forward_context().attn_metadata,
            torch.empty_like(query.repeat(2, 1, 1)),
        )
        for layer, attention, cache, output in zip(
            self.layers, self.attention, self.caches, outputs.split(1), strict=True
        ):
            attention.forward(layer, query, None, None, cache, metadata[layer.layer_name], output)
        return outputs


def lengths(full: int, window: int) -> dict[str, NpuAttentionMetadata]:
    """Metadata of a step in which each layer has another number of keys."""
    table = torch.ones(1, 1, dtype=torch.int32).npu()
    return {
        name: NpuAttentionMetadata([1], [length], table, 1, 1)
        for name, length in (("full", full), ("window", window))
    }


def wrapped(
    model: Callable[..., torch.Tensor],
    config: VllmConfig = CONFIG,
    mode: CUDAGraphMode = CUDAGraphMode.FULL,
) -> NpuGraphWrapper:
    return NpuGraphWrapper(model, config, mode)


def test_the_first_call_captures_and_later_ones_replay() -> None:
    model = Model()
    wrapper, x = wrapped(model), torch.ones(4).npu()
    with step(CUDAGraphMode.FULL):
        wrapper(x)
        for value in (3.0, 5.0):
            x.fill_(value)
            assert wrapper(x).tolist() == [2 * value] * 4
    assert model.calls == 1
    assert wrapper.captures == {BatchDescriptor(4): 1}
    assert wrapper.stats.replays == 2


def test_a_replay_gives_each_layer_the_lengths_of_its_own_metadata() -> None:
    model, query = TwoLayers(), torch.randn(1, 1, 32).npu()
    wrapper, later = wrapped(model), lengths(full=90, window=17)
    with step(CUDAGraphMode.NONE, 1, later):  # which also copies the mask to the device
        expected = model(query)
    with step(CUDAGraphMode.FULL, 1, lengths(full=1, window=1)):
        wrapper(query)

    with step(CUDAGraphMode.FULL, 1, later):
        replayed = wrapper(query)

    torch.testing.assert_close(replayed, expected)
    assert not torch.equal(replayed[0], replayed[1])


@pytest.mark.parametrize("mode", [CUDAGraphMode.NONE, CUDAGraphMode.PIECEWISE])
def test_a_step_in_another_mode_runs_the_model(mode: CUDAGraphMode) -> None:
    model = Model()
    wrapper, x = wrapped(model), torch.ones(4).npu()
    with step(mode):
        assert wrapper(x).tolist() == wrapper(x).tolist() == [2.0] * 4
    assert model.calls == 2
    assert wrapper.captures == {}


def test_outside_of_a_step_the_model_runs() -> None:
    assert wrapped(Model())(torch.ones(2).npu()).tolist() == [2.0, 2.0]


def test_a_replay_with_inputs_elsewhere_is_noticed_when_inputs_are_checked() -> None:
    wrapper, x = wrapped(Model(), CHECKING), torch.ones(4).npu()
    with step(CUDAGraphMode.FULL):
        wrapper(x)
        wrapper(x)
        with pytest.raises(GraphInputError, match="FULL graph of BatchDescriptor"):
            wrapper(x.clone())


def test_graphs_of_one_size_are_closed_and_no_longer_counted() -> None:
    wrapper, x = wrapped(Model()), torch.ones(4).npu()
    for tokens in (4, 8):
        with step(CUDAGraphMode.FULL, tokens):
            wrapper(x)

    wrapper.close_graphs(4)

    assert wrapper.captures == {BatchDescriptor(8): 1}


def test_cleared_graphs_are_captured_again() -> None:
    model = Model()
    wrapper, x = wrapped(model), torch.ones(4).npu()
    with step(CUDAGraphMode.FULL):
        wrapper(x)
        wrapper.clear_graphs()
        wrapper(x)
    assert model.calls == 2


@pytest.mark.parametrize(
    ("mode", "other"), [("FULL", '"PIECEWISE"'), ("PIECEWISE", '"FULL_DECODE_ONLY"')]
)
def test_a_capture_that_fails_names_cause_size_and_flags(mode: str, other: str) -> None:
    def waits_for_the_device(x: torch.Tensor) -> torch.Tensor:
        return x * x.sum().item()

    wrapper = wrapped(waits_for_the_device, mode=CUDAGraphMode[mode])
    with step(CUDAGraphMode[mode]), pytest.raises(CaptureError) as caught:
        wrapper(torch.ones(4).npu())
    text = str(caught.value)
    assert caught.value.code != 0
    assert isinstance(caught.value, AclCaptureError)
    assert f"{caught.value.code} {caught.value.name}" in text
    assert f"{mode}, 4 tokens" in text
    assert "in waits_for_the_device: `x.sum().item()`" in text
    assert f'"cudagraph_mode": {other}' in text  # what failed is not advised
    assert "--enforce-eager" in text
    assert "--cudagraph-capture-sizes" in text
