# SPDX-License-Identifier: Apache-2.0
"""ASCEND_LAUNCH_BLOCKING=1, which torch_npu's own errors tell people to set."""

from pathlib import Path

from support.engine import OFF_LIMITS, Batch, EngineRun, EngineRuns, succeeded
from support.reference import make_reference
from support.runs import PROMPTS, engine_options

NEW_TOKENS = 8


def test_the_default_mode_replays_and_gives_the_tokens_of_transformers(
    tiny_model: Path, vllm_environment: dict[str, str]
) -> None:
    # given a host that does not return from a launch, a replay included, until the device is done
    runs = EngineRuns({**vllm_environment, "ASCEND_LAUNCH_BLOCKING": "1"}, OFF_LIMITS)
    prompts = PROMPTS[:3]
    options = engine_options(tiny_model, "FULL_AND_PIECEWISE")
    run = EngineRun("launch blocking", options, [Batch(prompts, NEW_TOKENS)])

    result = succeeded(runs.results([run])[run.name])

    assert result.tokens[0] == make_reference(tiny_model, prompts, NEW_TOKENS).tokens
    assert result.executions[-1] > result.executions[0]
