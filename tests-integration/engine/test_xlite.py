# SPDX-License-Identifier: Apache-2.0
"""Xlite mode: tokens are those that bf16 allows, and every step took the path that it should.

The engine is the wheel from the package index, unmodified. `nox -s xlite` runs more cases.
"""

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from support.engine import EngineResult, EngineRuns, succeeded
from support.models import LAYERS, make_device_model
from support.runs import FRESH, PROMPTS
from support.xlite_engines import (
    ABORTED,
    CASES,
    COLLECTIVES,
    MODELS,
    REPEATED,
    ROTATION,
    XliteCase,
    needs_xlite,
)

from demo.reference import judge

DECIDED = 0.5  # of the positions, at least: with fewer the comparison would say little

pytestmark = needs_xlite


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("xlite")
    return {
        name: make_device_model(MODELS[name][0], folder / name, **MODELS[name][1])
        for name in {case.model for case in CASES}
    }


@pytest.fixture(scope="module")
def results(
    models: dict[str, Path], vllm_environment: dict[str, str]
) -> dict[str, EngineResult | str]:
    results = {}
    for (devices, variables), cases in groupby(CASES, lambda c: (c.devices, c.environment)):
        runs = EngineRuns(vllm_environment | variables, ("--devices", str(devices)))
        results |= runs.results([case.run(models[case.model]) for case in cases])
    return results


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> XliteCase:
    assert isinstance(request.param, XliteCase)
    return request.param


@pytest.fixture
def result(
    case: XliteCase, models: dict[str, Path], results: dict[str, EngineResult | str]
) -> EngineResult:
    return succeeded(results[case.run(models[case.model]).name])


def test_tokens_are_those_that_bf16_allows(
    case: XliteCase, models: dict[str, Path], result: EngineResult
) -> None:
    """Alone and together, in one piece and in several, from the prefix cache and across blocks."""
    prompts = [*PROMPTS, *PROMPTS[-REPEATED:], *FRESH]
    answers = [answer for batch in result.tokens[:3] for answer in batch]
    verdict = judge(models[case.model], prompts, answers)
    assert verdict.wrong == []
    assert verdict.decided > DECIDED


@pytest.mark.parametrize("aborting", [each for each in CASES if each.aborts], ids=lambda c: c.name)
def test_an_aborted_request_leaves_the_others_alone(
    aborting: XliteCase, models: dict[str, Path], results: dict[str, EngineResult | str]
) -> None:
    folder = models[aborting.model]
    answers = succeeded(results[aborting.run(folder).name]).tokens[3]
    kept = [number for number in range(len(PROMPTS)) if number not in ABORTED]
    assert [number for number, answer in enumerate(answers) if answer] == kept
    verdict = judge(folder, [PROMPTS[each] for each in kept], [answers[each] for each in kept])
    assert verdict.wrong == []


def steps_of(result: EngineResult) -> tuple[dict[str, Any], int]:
    stats = result.stats[-1]
    return stats, sum(stats["steps_by_path"].get("xlite", {}).values())


def test_xlite_runs_the_steps_of_its_mode_and_no_other(
    case: XliteCase, result: EngineResult
) -> None:
    stats, on_xlite = steps_of(result)
    assert (stats["backend"], stats["xlite_mode"]) == (
        "xlite",
        "full" if case.full_mode else "decode",
    )
    assert 0 < stats["decode_steps"] < stats["steps"]
    assert on_xlite == (stats["steps"] if case.full_mode else stats["decode_steps"])
    assert sum(sum(causes.values()) for causes in stats["steps_by_path"].values()) == stats["steps"]
    assert stats["eager_decode_steps"] == 0


def test_the_kernels_of_xlite_ran_once_a_layer_in_its_steps(result: EngineResult) -> None:
    """By the simulator's count, and not only by the plugin's."""
    _, on_xlite = steps_of(result)
    rotations = [operations.get(ROTATION, 0) for operations in result.operations]
    assert rotations[-1] - rotations[0] == on_xlite * LAYERS


def test_ranks_add_up_with_the_collectives_of_the_case(
    case: XliteCase, result: EngineResult
) -> None:
    """XCCL's are kernels of xlite, which HCCL and a single rank do not need."""
    kernels = [name for name in result.operations[-1] if name.startswith(COLLECTIVES)]
    assert bool(kernels) == (case.devices > 1 and case.collectives == "XCCL")


def test_no_graph_is_captured_for_steps_that_xlite_runs(
    case: XliteCase, result: EngineResult
) -> None:
    stats, _ = steps_of(result)
    left = {"FULL_AND_PIECEWISE": "PIECEWISE", "FULL": "FULL"}  # the other modes have none
    expected = "NONE" if case.full_mode else left.get(case.mode, "NONE")
    assert stats["cudagraph_mode"] == expected
    assert set(stats["graphs"]) == {expected} - {"NONE"}


def test_a_step_on_xlite_is_not_padded(case: XliteCase, result: EngineResult) -> None:
    if case.full_mode:
        assert result.stats[-1]["padding_waste"] == 0
