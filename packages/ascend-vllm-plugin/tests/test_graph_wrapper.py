# SPDX-License-Identifier: Apache-2.0
"""A wrapper captures a graph per batch descriptor, in its own mode only, and explains failures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from ascend_aclgraph import CaptureError
from ascend_core import AclCaptureError
from vllm.compilation.monitor import set_cudagraph_capturing_enabled
from vllm.config import CompilationConfig, CUDAGraphMode, VllmConfig
from vllm.forward_context import BatchDescriptor, set_forward_context

from ascend_vllm_plugin.errors import GraphInputError
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
def step(mode: CUDAGraphMode, tokens: int = 4) -> Iterator[None]:
    with set_forward_context(
        None, CONFIG, cudagraph_runtime_mode=mode, batch_descriptor=BatchDescriptor(tokens)
    ):
        yield


class Model:
    """Doubles its input, and counts how often its Python code runs."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x * 2


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
    assert f'"cudagraph_mode": {other}' in text  # what failed is not advised
    assert "--enforce-eager" in text
    assert "--cudagraph-capture-sizes" in text
