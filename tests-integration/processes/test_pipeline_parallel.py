# SPDX-License-Identifier: Apache-2.0
"""Two devices with half of the layers each give the tokens of one, in eager and in graph mode.

So do stages of two devices each, and stages with experts or with latent attention.
"""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.family_runs import NEW_TOKENS as FAMILY_TOKENS
from support.family_runs import FamilyRuns
from support.reference import make_reference
from support.runs import PROMPTS, engine_options

NEW_TOKENS = 24
OTHER_MODES = ("eager", "PIECEWISE", "FULL", "FULL_DECODE_ONLY")
COMBINED = [("qwen3", 2), ("qwen3_moe", 1), ("qwen3_moe", 2), ("deepseek_v2", 1)]
"""Families, and on how many devices each stage is."""
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


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> FamilyRuns:
    return FamilyRuns(tmp_path_factory.mktemp("stages"), {family for family, _ in COMBINED})


@pytest.fixture(scope="module")
def four_devices(vllm_environment: dict[str, str]) -> EngineRuns:
    simulator = (*OFF_LIMITS, "--devices", "4", "--schedule", "chaos:1")
    return EngineRuns(vllm_environment, simulator)


@pytest.mark.slow
@pytest.mark.parametrize(("family", "devices"), COMBINED)
def test_tokens_of_combinations_equal_transformers(
    family: str, devices: int, families: FamilyRuns, four_devices: EngineRuns
) -> None:
    """Devices that share a stage, mixtures of experts and latent attention."""
    result = families.result(
        family,
        "FULL_AND_PIECEWISE",
        four_devices,
        [Batch(PROMPTS, FAMILY_TOKENS)],
        pipeline_parallel_size=2,
        tensor_parallel_size=devices,
        max_num_batched_tokens=64,
    )
    assert result.tokens[0] == families.reference(family).tokens[: len(PROMPTS)]
    assert result.stats[-1]["eager_decode_steps"] == 0
