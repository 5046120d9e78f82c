# SPDX-License-Identifier: Apache-2.0
"""Sizes of graphs are checked when the configuration is, and what is left out is said."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from vllm.config import CompilationConfig, CUDAGraphMode
from vllm.config.vllm import OptimizationLevel

from ascend_vllm_plugin.graph_sizes import check_final_sizes, drop_unreachable_sizes, size_problems


@dataclass
class Model:
    enforce_eager: bool = False
    max_model_len: int = 512


@dataclass
class Scheduler:
    max_num_seqs: int = 8
    max_num_batched_tokens: int = 64


@dataclass
class Config:
    """The parts of vLLM's configuration that sizes depend on; the whole needs a model's folder."""

    compilation_config: CompilationConfig
    model_config: Model = field(default_factory=Model)
    scheduler_config: Scheduler = field(default_factory=Scheduler)
    optimization_level: OptimizationLevel = OptimizationLevel.O2
    additional_config: dict[str, Any] = field(default_factory=dict)


def config(sizes: list[int] | None, mode: str | None = None, **compilation: Any) -> Any:
    if sizes is not None:
        compilation["cudagraph_capture_sizes"] = sizes
    if mode is not None:
        compilation["cudagraph_mode"] = CUDAGraphMode[mode]
    return Config(CompilationConfig(**compilation))


def kept(given: Any) -> list[int]:
    assert list(size_problems(given)) == []
    drop_unreachable_sizes(given)
    sizes: list[int] = given.compilation_config.cudagraph_capture_sizes
    return sizes


@pytest.mark.parametrize(
    ("sizes", "mode", "words"),
    [
        ([], None, "there is no size"),
        ([0], None, "at least one token, 0 has not"),
        ([0, 1, 2], "FULL", "at least one token, 0 has not"),
        ([4, -2, -1], "PIECEWISE", "at least one token, -2, -1 has not"),
        ([128, 256], None, "--max-num-batched-tokens = 64"),
        ([65], "FULL", "--max-num-batched-tokens = 64"),
        ([16, 32], "FULL_DECODE_ONLY", "--max-num-seqs = 8"),
    ],
)
def test_sizes_that_cannot_be_captured_are_refused(
    sizes: list[int], mode: str | None, words: str
) -> None:
    (problem,) = size_problems(config(sizes, mode))
    assert problem.option == "cudagraph_capture_sizes"
    assert words in str(problem)


@pytest.mark.parametrize("largest", [0, -1])
def test_the_largest_size_is_positive(largest: int) -> None:
    (problem,) = size_problems(config(None, max_cudagraph_capture_size=largest))
    assert problem.option == "max_cudagraph_capture_size"


@pytest.mark.parametrize(
    ("given", "words"), [(["many"], "cudagraph_capture_sizes"), ([1.5], "cudagraph_capture_sizes")]
)
def test_what_is_no_number_is_refused_by_vllm_itself(given: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        config(given)


def test_a_configuration_without_a_model_is_left_alone() -> None:
    """VLLM builds such ones internally, and so do its tests."""
    given = config([1, 10_000])
    given.model_config = None
    assert not list(size_problems(given))
    drop_unreachable_sizes(given)
    assert given.compilation_config.cudagraph_capture_sizes == [1, 10_000]


def test_sizes_without_graphs_do_not_matter() -> None:
    assert list(size_problems(config([0], "NONE"))) == []
    eager, unoptimized = config([0]), config([0])
    eager.model_config.enforce_eager = True
    unoptimized.optimization_level = OptimizationLevel.O0
    assert list(size_problems(eager)) == []
    assert list(size_problems(unoptimized)) == []


@pytest.mark.parametrize(
    ("sizes", "mode", "left"),
    [
        ([8, 1, 2, 2, 1], None, [1, 2, 8]),
        ([64, 65, 128, 1], None, [1, 64]),
        ([64, 8, 1], "FULL_DECODE_ONLY", [1, 8]),
        ([64, 8, 1], "FULL", [1, 8, 64]),
    ],
)
def test_sizes_become_the_ones_that_are_captured(
    sizes: list[int], mode: str | None, left: list[int]
) -> None:
    assert kept(config(sizes, mode)) == left


def test_what_is_left_out_is_said_in_one_line(vllm_log: pytest.LogCaptureFixture) -> None:
    kept(config([1, 16, 32], "FULL_DECODE_ONLY"))
    (record,) = vllm_log.records
    assert record.getMessage() == (
        "cudagraph_capture_sizes: no graphs of 16, 32 tokens are captured, for no batch is that "
        "large: with FULL_DECODE_ONLY they have at most --max-num-seqs = 8 tokens. Captured: 1"
    )


def test_nothing_is_said_of_sizes_that_are_all_captured(vllm_log: pytest.LogCaptureFixture) -> None:
    kept(config([2, 1, 2]))
    assert vllm_log.records == []


def test_decode_batches_of_xlite_need_no_graph(vllm_log: pytest.LogCaptureFixture) -> None:
    given = config([1, 4], "PIECEWISE")
    given.additional_config = {"xlite_graph_config": {"enabled": True}}
    check_final_sizes(given)
    assert vllm_log.records == []


@pytest.mark.parametrize(
    ("sizes", "mode", "words"),
    [
        ([1, 4], "FULL_AND_PIECEWISE", "more than 4 requests will run without a graph"),
        ([1, 4, 16], "FULL_AND_PIECEWISE", "more than 4 requests will run in piecewise graphs"),
        ([16], "FULL_AND_PIECEWISE", "more than 0 requests will run in piecewise graphs"),
        ([1, 4], "FULL_DECODE_ONLY", "more than 4 requests will run without a graph"),
        ([1, 4], "PIECEWISE", "more than 4 requests will run without a graph"),
        ([4, 16], "PIECEWISE", ""),
        ([4, 16], "FULL", ""),
        ([8], "FULL_DECODE_ONLY", ""),
    ],
)
def test_decode_batches_without_a_graph_of_their_own_are_warned_of(
    sizes: list[int], mode: str, words: str, vllm_log: pytest.LogCaptureFixture
) -> None:
    check_final_sizes(config(sizes, mode))
    assert bool(vllm_log.records) == bool(words)
    assert words in vllm_log.text
