# SPDX-License-Identifier: Apache-2.0
"""Two devices give the tokens of one, in eager and in graph mode."""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineRun, EngineRuns, succeeded
from support.reference import Reference, make_reference
from support.runs import NEW_TOKENS, PROMPTS, engine_options

MODES = ["eager", "FULL", "FULL_AND_PIECEWISE"]  # the last one has what PIECEWISE has, too


@pytest.fixture(scope="module")
def runs(vllm_environment: dict[str, str]) -> EngineRuns:
    return EngineRuns(vllm_environment, (*OFF_LIMITS, "--devices", "2"))


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


def engines(model: Path) -> list[EngineRun]:
    return [
        EngineRun(
            f"two devices, {mode}",
            engine_options(model, mode, tensor_parallel_size=2),
            [Batch(PROMPTS, NEW_TOKENS)],
        )
        for mode in MODES
    ]


@pytest.mark.parametrize("mode", MODES)
def test_tokens_equal_transformers(
    mode: str, tiny_model: Path, runs: EngineRuns, reference: Reference
) -> None:
    result = succeeded(runs.results(engines(tiny_model))[f"two devices, {mode}"])
    assert result.tokens[0] == reference.tokens


@pytest.mark.parametrize("mode", MODES[1:])
def test_decoding_replays_graphs(mode: str, tiny_model: Path, runs: EngineRuns) -> None:
    stats = succeeded(runs.results(engines(tiny_model))[f"two devices, {mode}"]).stats[-1]
    assert stats["replays"] > 0
    assert stats["eager_decode_steps"] == 0
