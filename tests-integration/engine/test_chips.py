# SPDX-License-Identifier: Apache-2.0
"""An engine with default options on every chip: it starts, and its tokens are right.

The one that lacks most is tried; `nox -s chips` tries all. A2 is what all other tests run on.
"""

from pathlib import Path

import pytest
from ascend_sim._config import SOCS
from support.engine import (
    Batch,
    EngineResult,
    EngineRun,
    EngineRuns,
    succeeded,
)
from support.runs import FRESH, PROMPTS
from support.scripts import lines_of

from demo.reference import judge

NEW_TOKENS = 8
SAMPLE = "Ascend310P3"
CHIPS = [pytest.param(chip, marks=() if chip == SAMPLE else pytest.mark.slow) for chip in SOCS]

WITHOUT_VALUE_WAITS = "Ascend310P"
REFUSED = (
    ("FULL graphs", {"compilation_config": {"cudagraph_mode": "FULL"}}),
    ("FULL graphs", {"compilation_config": {"cudagraph_mode": "FULL_DECODE_ONLY"}}),
    ("FULL graphs", {"compilation_config": {"cudagraph_mode": "FULL_AND_PIECEWISE"}}),
    ("torch.bfloat16", {"dtype": "bfloat16"}),
)
"""What a 310P does not have, and options that ask for it."""


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


def test_what_a_310p_lacks_is_refused_with_the_configuration(
    device_model: Path, vllm_environment: dict[str, str]
) -> None:
    cases = [{"model": str(device_model), **options} for _, options in REFUSED]
    simulator = ("--soc", "Ascend310P3")
    errors = lines_of(
        "config_process.py", vllm_environment, cases, simulator=simulator, count=len(cases)
    )
    for error, (named, _) in zip(errors, REFUSED, strict=True):
        assert named in error
