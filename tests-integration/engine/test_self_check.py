# SPDX-License-Identifier: Apache-2.0
"""An engine that checks its graphs at the start uses none that is wrong, and says which are."""

from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.reference import Reference, make_reference
from support.runs import CAPTURE_SIZES, NEW_TOKENS, PROMPTS, engine_options

DECODE_SIZES = {str(size) for size in CAPTURE_SIZES if size <= len(PROMPTS)}
FAULTS = ["keep_captured_lengths", "detach_block_tables"]


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


@pytest.fixture
def start(tiny_model: Path, vllm_environment: dict[str, str]):
    """Return what an engine does whose graphs have a fault, and which checks them or not."""

    def start(fault: str | None, check: str) -> EngineResult:
        config = {"graph": {"self_check": check}}
        options = engine_options(tiny_model, "FULL_AND_PIECEWISE", additional_config=config)
        run = EngineRun("checked", options, [Batch(PROMPTS, NEW_TOKENS)], sabotage=fault)
        return succeeded(EngineRuns(vllm_environment, OFF_LIMITS).results([run])[run.name])

    return start


def test_right_graphs_are_all_used(start, reference: Reference) -> None:
    result = start(None, "startup")
    assert "self-check" not in result.log
    assert set(result.stats[-1]["graphs"]["FULL"]) == DECODE_SIZES
    assert result.tokens == [reference.tokens]


@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_graphs_are_named_and_not_used(start, fault: str, reference: Reference) -> None:
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


def test_without_a_check_wrong_graphs_give_wrong_tokens(start, reference: Reference) -> None:
    assert start("detach_block_tables", "off").tokens != [reference.tokens]
