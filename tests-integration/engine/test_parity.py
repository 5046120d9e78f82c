# SPDX-License-Identifier: Apache-2.0
"""Greedy tokens equal those of transformers on the CPU, token for token, in every graph mode."""

from pathlib import Path

import pytest
from support.engine import EngineResult, EngineRuns, succeeded
from support.models import FAMILIES
from support.reference import Reference, make_reference
from support.runs import (
    FRESH,
    MODES,
    NEW_TOKENS,
    PROMPTS,
    REPEATED,
    VARIANTS,
    VARIED_FAMILY,
    engine_case,
    is_slow,
    runs_of,
)

CASES = [
    *(engine_case(family, mode) for family in FAMILIES for mode in MODES),
    *(engine_case(VARIED_FAMILY, variant) for variant in VARIANTS),
]


@pytest.fixture(scope="session")
def references(models: dict[str, Path]) -> dict[str, Reference]:
    return {
        family: make_reference(model, [*PROMPTS, *FRESH], NEW_TOKENS)
        for family, model in models.items()
    }


def result_of(family: str, name: str, models: dict[str, Path], runs: EngineRuns) -> EngineResult:
    group = runs_of(family, models[family], slow=is_slow(family, name))
    return succeeded(runs.results(group)[f"{family}, {name}"])


@pytest.mark.parametrize("family", FAMILIES)
def test_no_token_of_the_reference_is_nearly_a_tie(
    family: str, references: dict[str, Reference]
) -> None:
    assert references[family].margin > 5e-4


@pytest.mark.parametrize(("family", "name"), CASES)
def test_tokens_equal_transformers(
    family: str,
    name: str,
    models: dict[str, Path],
    references: dict[str, Reference],
    engine_runs: EngineRuns,
) -> None:
    expected, fresh = references[family].tokens[: len(PROMPTS)], references[family].tokens[-2:]
    tokens = result_of(family, name, models, engine_runs).tokens
    assert tokens[0] == expected
    for index, count in enumerate(REPEATED, start=1):
        assert tokens[index] == expected[-count:]
    assert tokens[-1] == fresh


def test_in_full_mode_chunks_of_prompts_replay_graphs_too(
    models: dict[str, Path], engine_runs: EngineRuns
) -> None:
    stats = result_of(VARIED_FAMILY, "FULL, chunked", models, engine_runs).stats
    before, after = stats[0], stats[-1]
    assert after["steps"] > after["decode_steps"]
    assert after["replays"] - before["replays"] == after["steps"] - before["steps"]
