# SPDX-License-Identifier: Apache-2.0
"""An engine whose graphs do not all fit serves with those that do, and gives the right tokens.

Without a budget of streams, so that captures fail; `test_stream_budget` has engines with one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS
from support.reference import Reference, make_reference
from support.runs import CAPTURE_SIZES, NEW_TOKENS, PROMPTS, engine_options

DECODE_SIZES = [size for size in CAPTURE_SIZES if size <= 8]
FEW = 3
"""Requests of the second batch: their own size, 4, is left out in some cases."""


def pieces(*sizes: int) -> dict[str, int]:
    return {str(size): LAYERS + 1 for size in sizes}


def graphs(*sizes: int) -> dict[str, int]:
    return {str(size): 1 for size in sizes}


@dataclass(frozen=True)
class Case:
    """A device that has too little of something, and the graphs that are captured all the same."""

    captured: dict[str, dict[str, int]]
    simulator: tuple[str, ...] = ()
    mode: str = "FULL_AND_PIECEWISE"
    sabotage: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)


FIFTH_SIZE = 4 * (LAYERS + 1) + 2
"""Number of the capture of the second piece of the fifth largest size."""


def on_rank_1(fault: str) -> tuple[str, ...]:
    return ("--devices", "2", "--fault", f"fail:aclmdlRICaptureBegin,device=1,{fault}")


# With queues in hardware, graphs take their streams at capture and keep them.
CASES = {
    "streams": Case(
        {"PIECEWISE": pieces(1, 8, 64, 256), "FULL": graphs(1, 8)},
        ("--sq", "hardware", "--streams", "56"),
    ),
    "memory": Case(
        {"PIECEWISE": pieces(*DECODE_SIZES), "FULL": graphs(*DECODE_SIZES)},
        sabotage="use_up_memory_in_large_captures",
    ),
    "streams, FULL": Case(
        {"FULL": graphs(1, 8, 256)}, ("--sq", "hardware", "--streams", "37"), mode="FULL"
    ),
    "streams of one rank": Case(
        {"PIECEWISE": pieces(1, 8, 64, 256), "FULL": graphs(*DECODE_SIZES)},
        on_rank_1(f"nth={FIFTH_SIZE},code=207005"),
        changes={"tensor_parallel_size": 2},
    ),
    "memory of one rank": Case(
        {"PIECEWISE": pieces(4, 8, 64, 256)},
        on_rank_1(f"from={FIFTH_SIZE},code=207001"),
        changes={"tensor_parallel_size": 2},
    ),
}


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


@pytest.fixture(scope="module")
def results() -> dict[str, EngineResult]:
    """Results by case, so that each is started once."""
    return {}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def result(
    case: str,
    results: dict[str, EngineResult],
    tiny_model: Path,
    vllm_environment: dict[str, str],
) -> EngineResult:
    if case not in results:
        given = CASES[case]
        runs = EngineRuns(vllm_environment, (*OFF_LIMITS, *given.simulator))
        off = {"graph": {"stream_budget": False}}
        options = engine_options(tiny_model, given.mode, additional_config=off, **given.changes)
        batches = [Batch(PROMPTS, NEW_TOKENS), Batch(PROMPTS[:FEW], NEW_TOKENS)]
        run = EngineRun(case, options, batches, sabotage=given.sabotage)
        results[case] = succeeded(runs.results([run])[run.name])
    return results[case]


def test_tokens_equal_transformers(result: EngineResult, reference: Reference) -> None:
    assert result.tokens == [reference.tokens, reference.tokens[:FEW]]


def test_the_graphs_are_those_with_the_least_padding(case: str, result: EngineResult) -> None:
    assert result.stats[-1]["graphs"] == CASES[case].captured
