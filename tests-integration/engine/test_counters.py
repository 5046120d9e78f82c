# SPDX-License-Identifier: Apache-2.0
"""Graph modes replay graphs: the simulator's own counter says so, not only the plugin's."""

from pathlib import Path

import pytest
from support.engine import Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS
from support.reference import make_reference
from support.runs import (
    CAPTURE_SIZES,
    FRESH,
    MODES,
    NEW_TOKENS,
    VARIED_FAMILY,
    engine_case,
    engine_options,
    is_slow,
    runs_of,
)

# Executions of graphs per decode step.
EXECUTIONS = {
    "eager": 0,
    "NONE": 0,
    "PIECEWISE": LAYERS + 1,
    "FULL": 1,
    "FULL_DECODE_ONLY": 1,
    "FULL_AND_PIECEWISE": 1,
}


@pytest.fixture
def result(
    family: str, mode: str, models: dict[str, Path], engine_runs: EngineRuns
) -> EngineResult:
    runs = runs_of(family, models[family], slow=is_slow(family, mode))
    return succeeded(engine_runs.results(runs)[f"{family}, {mode}"])


with_every_mode = pytest.mark.parametrize(
    ("family", "mode"), [engine_case(VARIED_FAMILY, mode) for mode in MODES]
)


@with_every_mode
def test_a_decode_step_executes_as_many_graphs_as_its_mode_has(
    mode: str, result: EngineResult
) -> None:
    assert sum(map(len, FRESH)) > max(CAPTURE_SIZES)
    before, after = result.stats[-2:]  # around the last batch, which is FRESH
    decode_steps = after["decode_steps"] - before["decode_steps"]
    executions = result.executions[-1] - result.executions[-2]
    assert decode_steps == NEW_TOKENS - 1
    assert executions == EXECUTIONS[mode] * decode_steps
    assert after["replays"] - before["replays"] == executions


@with_every_mode
def test_the_report_names_the_graphs_and_the_steps_without_one(
    mode: str, result: EngineResult
) -> None:
    stats = result.stats[-1]
    is_graph_mode = EXECUTIONS[mode] > 0
    assert stats["backend"] == ("aclgraph" if is_graph_mode else "eager")
    assert stats["cudagraph_mode"] == ("NONE" if mode == "eager" else mode)
    assert stats["simulated"] is True
    assert stats["eager_decode_steps"] == (0 if is_graph_mode else stats["decode_steps"])
    assert stats["capture_seconds"] > 0 or not is_graph_mode
    decode_sizes = {str(size): 1 for size in CAPTURE_SIZES if size <= 8}
    all_sizes = {str(size): 1 for size in CAPTURE_SIZES}
    pieces = {str(size): LAYERS + 1 for size in CAPTURE_SIZES}
    assert (
        stats["graphs"]
        == {
            "eager": {},
            "NONE": {},
            "PIECEWISE": {"PIECEWISE": pieces},
            "FULL": {"FULL": all_sizes},
            "FULL_DECODE_ONLY": {"FULL": decode_sizes},
            "FULL_AND_PIECEWISE": {"PIECEWISE": pieces, "FULL": decode_sizes},
        }[mode]
    )


def test_replays_without_the_update_of_lengths_give_wrong_tokens(
    tiny_model: Path, engine_runs: EngineRuns
) -> None:
    """The tests of tokens can fail: a graph that repeats captured lengths is noticed."""
    options = engine_options(tiny_model, "FULL_DECODE_ONLY")
    batches = [Batch(FRESH, NEW_TOKENS)]
    run = EngineRun("broken update", options, batches, sabotage="keep_captured_lengths")
    tokens = succeeded(engine_runs.results([run])[run.name]).tokens[0]
    expected = make_reference(tiny_model, FRESH, NEW_TOKENS).tokens
    for got, wanted in zip(tokens, expected, strict=True):
        assert got[0] == wanted[0]  # from the prefill
        assert got != wanted
