# SPDX-License-Identifier: Apache-2.0
"""An engine with default options on every chip: it starts, and its tokens are right.

One chip of each family is tried, for those of a family differ in the number of cores only;
`nox -s chips` tries all. A2 is what all other tests run on.
"""

import os
from pathlib import Path

import pytest
from ascend_sim._config import SOCS
from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.rounding import judge
from support.runs import FRESH, PROMPTS

NEW_TOKENS = 8
FAMILIES = ("Ascend310P3", "Ascend910_9391", "Ascend950PR_9599")
CHIPS = SOCS if os.environ.get("ASCEND_TEST_CHIPS") == "all" else FAMILIES

WITHOUT_VALUE_WAITS = "Ascend310P"


@pytest.fixture(scope="module")
def results() -> dict[str, EngineResult]:
    """Results by chip, so that each is started once."""
    return {}


@pytest.fixture(params=CHIPS)
def chip(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def result(
    chip: str,
    device_model: Path,
    vllm_environment: dict[str, str],
    results: dict[str, EngineResult],
) -> EngineResult:
    if chip not in results:
        runs = EngineRuns(vllm_environment, ("--soc", chip, "--hbm", "1GiB"))
        run = EngineRun(
            chip,
            {"model": str(device_model)},
            [Batch(PROMPTS, NEW_TOKENS), Batch(FRESH, NEW_TOKENS)],
        )
        results[chip] = succeeded(runs.results([run])[run.name])
    return results[chip]


def test_tokens_are_those_that_rounding_allows(result: EngineResult, device_model: Path) -> None:
    verdict = judge(device_model, [*PROMPTS, *FRESH], [*result.tokens[0], *result.tokens[1]])
    assert verdict.wrong == []


def test_the_default_graph_mode_is_one_that_the_chip_has(chip: str, result: EngineResult) -> None:
    has_full = not chip.startswith(WITHOUT_VALUE_WAITS)
    stats = result.stats[-1]
    assert stats["cudagraph_mode"] == ("FULL_AND_PIECEWISE" if has_full else "PIECEWISE")
    assert set(stats["graphs"]) == ({"FULL", "PIECEWISE"} if has_full else {"PIECEWISE"})
    assert stats["eager_decode_steps"] == 0
