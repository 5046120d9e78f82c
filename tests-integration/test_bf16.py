# SPDX-License-Identifier: Apache-2.0
"""In bf16 tokens may differ, logits by no more than bf16 allows."""

from pathlib import Path

import pytest
import torch
from support.engine import Batch, EngineRun, EngineRuns, succeeded
from support.models import FAMILIES, make_model
from support.reference import make_reference
from support.runs import PROMPTS, engine_options

TOLERANCE = 2e-2  # of the norm of the logits
# Small enough that bf16 itself stays below the tolerance: transformers in bf16 is 1.2e-2 away.
WEIGHT_SCALE = 0.03


@pytest.fixture(scope="module")
def gentle_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("gentle")
    return {family: make_model(family, folder / family, WEIGHT_SCALE) for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_first_logits_in_bf16_are_near_those_in_fp32(
    family: str, gentle_models: dict[str, Path], engine_runs: EngineRuns
) -> None:
    runs = [
        EngineRun(
            f"{name}, bf16",
            engine_options(
                model,
                "eager",  # as the prefill of these prompts is in every mode
                dtype="bfloat16",
                logprobs_mode="raw_logits",
                max_logprobs=-1,
            ),
            [Batch(PROMPTS, 1, raw_logits=True)],
        )
        for name, model in gentle_models.items()
    ]
    result = succeeded(engine_runs.results(runs)[f"{family}, bf16"])
    expected = make_reference(gentle_models[family], PROMPTS, 1).first_logits
    logits = torch.tensor(result.logits[0])
    error = (logits - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert error.max() < TOLERANCE
