# SPDX-License-Identifier: Apache-2.0
"""An engine that checks its graphs at the start uses none that is wrong, and says which are."""

from pathlib import Path
from typing import Any, Protocol

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import make_model
from support.reference import Reference, make_reference
from support.runs import CAPTURE_SIZES, NEW_TOKENS, PROMPTS, engine_options

OTHERS = ["deepseek_v3", "qwen3_moe"]
DECODE_SIZES = {str(size) for size in CAPTURE_SIZES if size <= len(PROMPTS)}
FAULTS = [
    "detach_block_tables",
    pytest.param("keep_captured_lengths", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


class Start(Protocol):
    """Start an engine whose graphs have a fault, or none, and which checks them, or does not."""

    def __call__(
        self, fault: str | None, check: str, model: Path | None = None, **changes: Any
    ) -> EngineResult: ...


@pytest.fixture
def start(tiny_model: Path, vllm_environment: dict[str, str]) -> Start:
    def start(
        fault: str | None, check: str, model: Path | None = None, **changes: Any
    ) -> EngineResult:
        config = {"graph": {"self_check": check}}
        mode = "FULL_AND_PIECEWISE"
        options = engine_options(model or tiny_model, mode, additional_config=config, **changes)
        run = EngineRun("checked", options, [Batch(PROMPTS, NEW_TOKENS)], sabotage=fault)
        devices = str(changes.get("tensor_parallel_size", 1))
        runs = EngineRuns(vllm_environment, (*OFF_LIMITS, "--devices", devices))
        return succeeded(runs.results([run])[run.name])

    return start


def test_right_graphs_are_all_used(start: Start, reference: Reference) -> None:
    result = start(None, "startup")
    assert "self-check" not in result.log
    assert set(result.stats[-1]["graphs"]["FULL"]) == DECODE_SIZES
    assert result.tokens == [reference.tokens]


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_graphs_are_named_and_not_used(
    start: Start, fault: str, reference: Reference
) -> None:
    # Given full graphs that read what they read at capture, and a check
    result = start(fault, "startup")
    # Then the check names the mode and all its sizes
    (line,) = (line for line in result.log.splitlines() if "self-check" in line)
    assert "FULL graphs of these sizes differ" in line
    assert all(f" {size}: " in line for size in DECODE_SIZES)
    # And other graphs give the right tokens
    assert "FULL" not in result.stats[-1]["graphs"]
    assert result.stats[-1]["graphs"]["PIECEWISE"]
    assert result.stats[-1]["eager_decode_steps"] == 0
    assert result.tokens == [reference.tokens]


@pytest.mark.slow
def test_without_a_check_wrong_graphs_give_wrong_tokens(start: Start, reference: Reference) -> None:
    assert start("detach_block_tables", "off").tokens != [reference.tokens]


@pytest.mark.slow
@pytest.mark.parametrize("family", OTHERS)
def test_other_models_are_checked_as_well(start: Start, family: str, tmp_path: Path) -> None:
    model = make_model(family, tmp_path / "model")
    right = start(None, "startup", model)
    assert "self-check" not in right.log
    assert set(right.stats[-1]["graphs"]["FULL"]) == DECODE_SIZES
    wrong = start("keep_captured_lengths", "startup", model)
    assert "FULL" not in wrong.stats[-1]["graphs"]
    assert wrong.tokens == right.tokens


@pytest.mark.slow
def test_right_graphs_of_two_ranks_are_all_used(start: Start, reference: Reference) -> None:
    result = start(None, "startup", tensor_parallel_size=2)
    assert "self-check" not in result.log
    assert set(result.stats[-1]["graphs"]["FULL"]) == DECODE_SIZES
    assert result.tokens == [reference.tokens]
