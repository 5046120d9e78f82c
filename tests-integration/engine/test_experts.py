# SPDX-License-Identifier: Apache-2.0
"""Mixtures of experts give the tokens of transformers, in every graph mode."""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS, WITH_EXPERTS, make_model
from support.reference import Reference, make_reference
from support.runs import FRESH, PROMPTS, engine_options

NEW_TOKENS = 16
SAMPLE = ("qwen3_moe", "FULL_AND_PIECEWISE")
MODES = ["eager", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]
EXECUTIONS = {"eager": 0, "PIECEWISE": LAYERS + 1}
"""Executions of graphs per decode step, where that is not one."""

CASES = [
    pytest.param(*case, marks=() if case == SAMPLE else pytest.mark.slow)
    for case in ((family, mode) for family in WITH_EXPERTS for mode in MODES)
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("experts")
    return {family: make_model(family, folder / family) for family in WITH_EXPERTS}


@pytest.fixture(scope="module")
def references(models: dict[str, Path]) -> dict[str, Reference]:
    return {
        family: make_reference(model, [*PROMPTS, *FRESH], NEW_TOKENS)
        for family, model in models.items()
    }


def result_of(case: tuple[str, str], models: dict[str, Path], runs: EngineRuns) -> EngineResult:
    family, mode = case
    batches = [Batch(PROMPTS, NEW_TOKENS), Batch(FRESH, NEW_TOKENS)]
    run = EngineRun(f"{family}, {mode}", engine_options(models[family], mode), batches)
    return succeeded(runs.results([run])[run.name])


@pytest.mark.parametrize("family", WITH_EXPERTS)
def test_no_token_of_the_reference_is_nearly_a_tie(
    family: str, references: dict[str, Reference]
) -> None:
    assert references[family].margin > 5e-4


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_tokens_equal_transformers(
    family: str,
    mode: str,
    models: dict[str, Path],
    references: dict[str, Reference],
    engine_runs: EngineRuns,
) -> None:
    result = result_of((family, mode), models, engine_runs)
    assert [*result.tokens[0], *result.tokens[1]] == references[family].tokens


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_a_decode_step_executes_as_many_graphs_as_its_mode_has(
    family: str, mode: str, models: dict[str, Path], engine_runs: EngineRuns
) -> None:
    """By the simulator's count, and not only by the plugin's."""
    result = result_of((family, mode), models, engine_runs)
    before, after = result.stats[-2:]  # around FRESH, whose prefill is larger than every graph
    decode_steps = after["decode_steps"] - before["decode_steps"]
    assert decode_steps == NEW_TOKENS - 1
    executions = result.executions[-1] - result.executions[-2]
    assert executions == EXECUTIONS.get(mode, 1) * decode_steps


@pytest.mark.slow
def test_experts_in_another_order_give_other_tokens(
    models: dict[str, Path], references: dict[str, Reference], engine_runs: EngineRuns
) -> None:
    """The tests of tokens can fail: experts that are one place off are noticed."""
    options = engine_options(models["qwen3_moe"], "eager")
    run = EngineRun("shifted", options, [Batch(PROMPTS, 4)], sabotage="shift_experts")
    tokens = succeeded(engine_runs.results([run])[run.name]).tokens[0]
    expected = [answer[:4] for answer in references["qwen3_moe"].tokens[: len(PROMPTS)]]
    assert all(got != wanted for got, wanted in zip(tokens, expected, strict=True))


@pytest.fixture(scope="module")
def parallel_runs(vllm_environment: dict[str, str]) -> EngineRuns:
    return EngineRuns(vllm_environment, (*OFF_LIMITS, "--devices", "2"))


@pytest.mark.slow
@pytest.mark.parametrize("expert_parallel", [False, True], ids=["each expert", "whole experts"])
def test_two_devices_give_the_tokens_of_one(
    expert_parallel: bool,
    models: dict[str, Path],
    references: dict[str, Reference],
    parallel_runs: EngineRuns,
) -> None:
    """They share every expert, or each has half of them."""
    options = engine_options(
        models["mixtral"],
        "FULL_AND_PIECEWISE",
        tensor_parallel_size=2,
        enable_expert_parallel=expert_parallel,
    )
    run = EngineRun(f"two devices, {expert_parallel}", options, [Batch(PROMPTS, NEW_TOKENS)])
    result = succeeded(parallel_runs.results([run])[run.name])
    assert result.tokens[0] == references["mixtral"].tokens[: len(PROMPTS)]
    assert result.stats[-1]["eager_decode_steps"] == 0
