# SPDX-License-Identifier: Apache-2.0
"""Greedy tokens equal those of transformers on the CPU, token for token, in every graph mode."""

import random
from pathlib import Path
from typing import Any

import pytest
from support.engine import Batch, EngineResult, EngineRun, EngineRuns
from support.models import FAMILIES
from support.reference import Reference, make_reference

MODES = ["eager", "NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE"]
NEW_TOKENS = 64
# Around and across the border of a cache block (128 tokens), alone and with the answer.
PROMPT_LENGTHS = [1, 5, 17, 63, 100, 128, 200, 300]
# 3 and 5 requests are padded to graphs of 4 and 8; the larger sizes are for prefill in FULL mode.
CAPTURE_SIZES = [1, 2, 4, 8, 64, 256]
REPEATED = (5, 3)
# Prompts cut into pieces that share steps with decoding. The first one has a graph for every step.
CHUNKED_FAMILY = "qwen3"
CHUNKED: dict[str, dict[str, Any]] = {
    "FULL, chunked": {"mode": "FULL", "max_num_batched_tokens": 64},
    "FULL_AND_PIECEWISE, chunked": {"mode": "FULL_AND_PIECEWISE", "max_num_batched_tokens": 64},
}


def prompts_of_all_lengths() -> list[list[int]]:
    generator = random.Random(7)
    return [[generator.randrange(256) for _ in range(length)] for length in PROMPT_LENGTHS]


PROMPTS = prompts_of_all_lengths()


def engine_options(model: Path, mode: str, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "model": str(model),
        "dtype": "float32",
        "max_model_len": 512,
        "max_num_seqs": 8,
        "max_num_batched_tokens": 1024,  # all prompts at once; keeps the memory profiling short
        "gpu_memory_utilization": 0.05,
    }
    if mode == "eager":
        options["enforce_eager"] = True
    else:
        compilation: dict[str, Any] = {"cudagraph_capture_sizes": CAPTURE_SIZES}
        if mode != "FULL_AND_PIECEWISE":  # vLLM's default is left to be the default
            compilation["cudagraph_mode"] = mode
        options["compilation_config"] = compilation
    return {**options, **changes}


def all_runs(family: str, model: Path) -> list[EngineRun]:
    """One engine per mode and, for one family, two that cut prompts into chunks."""
    batches = [
        Batch(PROMPTS, NEW_TOKENS),
        # The same prompts again: full blocks of theirs come from the prefix cache.
        *(Batch(PROMPTS[-count:], NEW_TOKENS) for count in REPEATED),
    ]
    runs = {mode: engine_options(model, mode) for mode in MODES}
    if family == CHUNKED_FAMILY:
        runs |= {name: engine_options(model, **options) for name, options in CHUNKED.items()}
    return [EngineRun(f"{family}, {name}", options, batches) for name, options in runs.items()]


@pytest.fixture(scope="session", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def references(models: dict[str, Path]) -> dict[str, Reference]:
    return {family: make_reference(model, PROMPTS, NEW_TOKENS) for family, model in models.items()}


@pytest.fixture(scope="session")
def results(
    family: str, models: dict[str, Path], engine_runs: EngineRuns
) -> dict[str, EngineResult | str]:
    named = engine_runs.results(all_runs(family, models[family]))
    return {name.removeprefix(f"{family}, "): result for name, result in named.items()}


def result_of(results: dict[str, EngineResult | str], name: str) -> EngineResult:
    result = results[name]
    assert isinstance(result, EngineResult), result
    return result


def test_no_token_of_the_reference_is_nearly_a_tie(
    family: str, references: dict[str, Reference]
) -> None:
    assert references[family].margin > 5e-4


@pytest.mark.parametrize("name", [*MODES, *CHUNKED])
def test_tokens_equal_transformers(
    family: str, name: str, references: dict[str, Reference], results: dict[str, EngineResult | str]
) -> None:
    if name in CHUNKED and family != CHUNKED_FAMILY:
        pytest.skip(f"chunks are tested with {CHUNKED_FAMILY}: they do not depend on the family")
    expected = references[family].tokens
    tokens = result_of(results, name).tokens
    assert tokens[0] == expected
    for index, count in enumerate(REPEATED, start=1):
        assert tokens[index] == expected[-count:]


def test_in_full_mode_chunks_of_prompts_replay_graphs_too(
    models: dict[str, Path], engine_runs: EngineRuns
) -> None:
    named = engine_runs.results(all_runs(CHUNKED_FAMILY, models[CHUNKED_FAMILY]))
    result = result_of(named, f"{CHUNKED_FAMILY}, FULL, chunked")
    before, after = result.stats[0], result.stats[-1]
    assert after["steps"] > after["decode_steps"]
    assert after["replays"] - before["replays"] == after["steps"] - before["steps"]
