# SPDX-License-Identifier: Apache-2.0
"""Models like DeepSeek-V2 and V3 give the tokens of transformers, in every graph mode."""

from pathlib import Path

import pytest
from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS, WITH_LATENTS, make_model
from support.reference import Reference, make_reference
from support.runs import FRESH, PROMPTS, engine_options

NEW_TOKENS = 16
REPEATED = 3
"""How many of the prompts, the last ones, are given once more: from the prefix cache."""

SAMPLE = ("deepseek_v3", "FULL_AND_PIECEWISE")
MODES = ["eager", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]
CASES = [
    pytest.param(*case, marks=() if case == SAMPLE else pytest.mark.slow)
    for case in ((family, mode) for family in WITH_LATENTS for mode in MODES)
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("latents")
    return {family: make_model(family, folder / family) for family in WITH_LATENTS}


@pytest.fixture(scope="module")
def references(models: dict[str, Path]) -> dict[str, Reference]:
    return {
        family: make_reference(model, [*PROMPTS, *FRESH], NEW_TOKENS)
        for family, model in models.items()
    }


def result_of(case: tuple[str, str], models: dict[str, Path], runs: EngineRuns) -> EngineResult:
    family, mode = case
    # Prompts are cut into steps, so that later queries see keys of earlier steps.
    options = engine_options(models[family], mode, max_num_batched_tokens=256)
    batches = [Batch(prompts, NEW_TOKENS) for prompts in (PROMPTS, PROMPTS[-REPEATED:], FRESH)]
    run = EngineRun(f"{family}, {mode}", options, batches)
    return succeeded(runs.results([run])[run.name])


@pytest.mark.parametrize("family", WITH_LATENTS)
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
    result, answers = result_of((family, mode), models, engine_runs), references[family].tokens
    first = answers[: len(PROMPTS)]
    assert result.tokens == [first, first[-REPEATED:], answers[len(PROMPTS) :]]


@pytest.mark.parametrize(("family", "mode"), CASES)
def test_a_step_in_a_whole_graph_is_one_execution(
    family: str, mode: str, models: dict[str, Path], engine_runs: EngineRuns
) -> None:
    """By the simulator's count, and not only by the plugin's."""
    result = result_of((family, mode), models, engine_runs)
    steps = result.stats[-1]["steps_by_path"].get("aclgraph", {})
    in_pieces = (LAYERS + 1) * steps.get("PIECEWISE", 0)
    assert result.executions[-1] - result.executions[0] == steps.get("FULL", 0) + in_pieces
    if mode != "eager":
        assert result.stats[-1]["eager_decode_steps"] == 0


@pytest.mark.slow
def test_keys_that_are_rotated_the_wrong_way_round_give_other_tokens(
    models: dict[str, Path], references: dict[str, Reference], engine_runs: EngineRuns
) -> None:
    """The tests of tokens can fail: a swapped pairing of rotated elements is noticed."""
    options = engine_options(models["deepseek_v3"], "eager")
    run = EngineRun("swapped", options, [Batch(PROMPTS, 4)], sabotage="swap_rotated_pairs")
    tokens = succeeded(engine_runs.results([run])[run.name]).tokens[0]
    expected = [answer[:4] for answer in references["deepseek_v3"].tokens[: len(PROMPTS)]]
    wrong = [got != wanted for got, wanted in zip(tokens, expected, strict=True)]
    assert all(wrong)
