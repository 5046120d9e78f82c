# SPDX-License-Identifier: Apache-2.0
"""Two devices give the tokens of one, in eager and in graph mode."""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.reference import Reference, make_reference
from support.runs import NEW_TOKENS, PROMPTS, engine_options

MODES = [
    "FULL_AND_PIECEWISE",  # it has what PIECEWISE has, too
    pytest.param("FULL", marks=pytest.mark.slow),
]
EAGER = pytest.param("eager", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def runs(vllm_environment: dict[str, str]) -> EngineRuns:
    return EngineRuns(vllm_environment, (*OFF_LIMITS, "--devices", "2"))


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


def result_of(mode: str, model: Path, runs: EngineRuns) -> EngineResult:
    options = engine_options(model, mode, tensor_parallel_size=2)
    run = EngineRun(f"two devices, {mode}", options, [Batch(PROMPTS, NEW_TOKENS)])
    return succeeded(runs.results([run])[run.name])


@pytest.mark.parametrize("mode", [*MODES, EAGER])
def test_tokens_equal_transformers(
    mode: str, tiny_model: Path, runs: EngineRuns, reference: Reference
) -> None:
    result = result_of(mode, tiny_model, runs)
    assert result.tokens[0] == reference.tokens


@pytest.mark.parametrize("mode", MODES)
def test_decoding_replays_graphs(mode: str, tiny_model: Path, runs: EngineRuns) -> None:
    stats = result_of(mode, tiny_model, runs).stats[-1]
    assert stats["replays"] > 0
    assert stats["eager_decode_steps"] == 0
