# SPDX-License-Identifier: Apache-2.0
"""Graph modes replay graphs: the simulator's own counter says so, not only the plugin's."""

from pathlib import Path

import pytest
from support.engine import Batch, EngineResult, EngineRun, EngineRuns
from support.models import LAYERS
from support.reference import make_reference
from test_parity import CAPTURE_SIZES, NEW_TOKENS, PROMPTS, engine_options

# More tokens than the largest graph holds, so that no mode has a graph for the prefill.
LONG_PROMPTS = [PROMPTS[-1], PROMPTS[-2]]
# Executions of graphs per decode step.
EXECUTIONS = {
    "eager": 0,
    "NONE": 0,
    "PIECEWISE": LAYERS + 1,
    "FULL": 1,
    "FULL_DECODE_ONLY": 1,
    "FULL_AND_PIECEWISE": 1,
}


def run_of(mode: str, model: Path) -> EngineRun:
    # No prefix cache: with it, the prefill of known prompts would be short enough for a graph.
    options = engine_options(model, mode, enable_prefix_caching=False)
    return EngineRun(f"counters, {mode}", options, [Batch(LONG_PROMPTS, NEW_TOKENS)])


@pytest.fixture(scope="session")
def results(tiny_model: Path, engine_runs: EngineRuns) -> dict[str, EngineResult | str]:
    return engine_runs.results([run_of(mode, tiny_model) for mode in EXECUTIONS])


@pytest.mark.parametrize("mode", EXECUTIONS)
def test_a_decode_step_executes_as_many_graphs_as_its_mode_has(
    mode: str, results: dict[str, EngineResult | str]
) -> None:
    assert sum(map(len, LONG_PROMPTS)) > max(CAPTURE_SIZES)
    result = results[f"counters, {mode}"]
    assert isinstance(result, EngineResult), result
    before, after = result.stats
    decode_steps = after["decode_steps"] - before["decode_steps"]
    executions = result.executions[1] - result.executions[0]
    assert decode_steps == NEW_TOKENS - 1
    assert executions == EXECUTIONS[mode] * decode_steps
    assert after["replays"] - before["replays"] == executions


@pytest.mark.parametrize("mode", EXECUTIONS)
def test_the_report_names_the_graphs_and_the_steps_without_one(
    mode: str, results: dict[str, EngineResult | str]
) -> None:
    result = results[f"counters, {mode}"]
    assert isinstance(result, EngineResult), result
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
    batches = [Batch(LONG_PROMPTS, NEW_TOKENS)]
    run = EngineRun("broken update", options, batches, sabotage="keep_captured_lengths")
    result = engine_runs.results([run])[run.name]
    assert isinstance(result, EngineResult), result
    expected = make_reference(tiny_model, LONG_PROMPTS, NEW_TOKENS).tokens
    assert all(got[0] == wanted[0] for got, wanted in zip(result.tokens[0], expected, strict=True))
    assert all(got != wanted for got, wanted in zip(result.tokens[0], expected, strict=True))
