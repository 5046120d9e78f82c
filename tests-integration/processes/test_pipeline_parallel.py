# SPDX-License-Identifier: Apache-2.0
"""Two devices with half of the layers each give the tokens of one, in eager and in graph mode."""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.reference import make_reference
from support.runs import PROMPTS, engine_options

NEW_TOKENS = 24
OTHER_MODES = ("eager", "PIECEWISE", "FULL", "FULL_DECODE_ONLY")
MODES = ["FULL_AND_PIECEWISE", *(pytest.param(m, marks=pytest.mark.slow) for m in OTHER_MODES)]


@pytest.fixture(scope="module")
def runs(vllm_environment: dict[str, str]) -> EngineRuns:
    """Runs whose devices are late, and do in any order what no rule orders."""
    simulator = (*OFF_LIMITS, "--devices", "2", "--schedule", "chaos:1")
    return EngineRuns(vllm_environment, simulator)


def result_of(mode: str, model: Path, runs: EngineRuns) -> EngineResult:
    # Prompts cut into pieces make two batches, so that both stages are at work.
    options = engine_options(model, mode, pipeline_parallel_size=2, max_num_batched_tokens=64)
    run = EngineRun(f"two stages, {mode}", options, [Batch(PROMPTS, NEW_TOKENS)])
    return succeeded(runs.results([run])[run.name])


@pytest.mark.parametrize("mode", MODES)
def test_tokens_equal_transformers(mode: str, tiny_model: Path, runs: EngineRuns) -> None:
    expected = make_reference(tiny_model, PROMPTS, NEW_TOKENS).tokens
    assert result_of(mode, tiny_model, runs).tokens[0] == expected


def test_decoding_replays_graphs(tiny_model: Path, runs: EngineRuns) -> None:
    stats = result_of("FULL_AND_PIECEWISE", tiny_model, runs).stats[-1]
    assert stats["replays"] > 0
    assert stats["eager_decode_steps"] == 0
