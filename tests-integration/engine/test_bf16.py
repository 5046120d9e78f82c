# SPDX-License-Identifier: Apache-2.0
"""In bf16, on what takes no more than a device: tokens are right as far as bf16 decides them."""

from pathlib import Path

import pytest
import torch
from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import FAMILIES, make_device_model
from support.reference import make_reference
from support.runs import FRESH, MODES, PROMPTS, VARIED_FAMILY, engine_options

from demo.reference import judge

NEW_TOKENS = 16
TOLERANCE = 2e-2  # of the norm of the logits; transformers in bf16 is 1.2e-2 away
DECIDED = 0.5  # of the positions, at least: with fewer the comparison would say little

Case = tuple[str, str]
CASES: list[Case] = [
    *((VARIED_FAMILY, mode) for mode in MODES),
    *((family, "FULL_AND_PIECEWISE") for family in FAMILIES if family != VARIED_FAMILY),
]
USUAL: list[Case] = [(VARIED_FAMILY, "FULL_AND_PIECEWISE")]
PARAMETERS = [
    pytest.param(case, marks=[] if case in USUAL else pytest.mark.slow, id=", ".join(case))
    for case in CASES
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bf16")
    return {family: make_device_model(family, folder / family) for family in FAMILIES}


def run_of(family: str, mode: str, model: Path, sabotage: str | None = None) -> EngineRun:
    options = engine_options(
        model, mode, dtype="bfloat16", logprobs_mode="raw_logits", max_logprobs=-1
    )
    batches = [Batch(PROMPTS, NEW_TOKENS), Batch(FRESH, NEW_TOKENS), Batch(PROMPTS, 1, True)]
    return EngineRun(f"{family}, {mode}, bf16, {sabotage}", options, batches, sabotage)


@pytest.fixture
def result(case: Case, models: dict[str, Path], device_runs: EngineRuns) -> EngineResult:
    cases = [other for other in CASES if (other in USUAL) == (case in USUAL)]
    runs = {other: run_of(*other, models[other[0]]) for other in cases}
    return succeeded(device_runs.results(list(runs.values()))[runs[case].name])


@pytest.mark.parametrize("case", PARAMETERS)
def test_tokens_are_those_that_bf16_allows(
    case: Case, models: dict[str, Path], result: EngineResult
) -> None:
    tokens = result.tokens
    verdict = judge(models[case[0]], [*PROMPTS, *FRESH], [*tokens[0], *tokens[1]])
    assert verdict.wrong == []
    assert verdict.decided > DECIDED


@pytest.mark.parametrize("case", PARAMETERS)
def test_first_logits_are_near_those_in_fp32(
    case: Case, models: dict[str, Path], result: EngineResult
) -> None:
    logits = torch.tensor(result.logits[2])
    expected = make_reference(models[case[0]], PROMPTS, 1).first_logits
    error = (logits - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < TOLERANCE


@pytest.mark.slow
def test_replays_without_the_update_of_lengths_are_noticed(
    models: dict[str, Path], device_runs: EngineRuns
) -> None:
    """The rule can fail: a graph that repeats captured lengths chooses what bf16 does not allow."""
    model = models[VARIED_FAMILY]
    run = run_of(VARIED_FAMILY, "FULL_DECODE_ONLY", model, "keep_captured_lengths")
    tokens = succeeded(device_runs.results([run])[run.name]).tokens[1]
    assert len(judge(model, FRESH, tokens).wrong) > NEW_TOKENS
