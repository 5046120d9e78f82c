# SPDX-License-Identifier: Apache-2.0
"""A sample of `nox -s chaos`: whatever is reordered, an engine gives the same tokens."""

from pathlib import Path

import pytest
from support.chaos import CASES, serve_with_seeds
from support.xlite_engines import needs_xlite


def test_twenty_seeds_give_the_tokens_of_transformers(
    tiny_model: Path, vllm_environment: dict[str, str]
) -> None:
    run = serve_with_seeds(CASES["dense"], tiny_model, vllm_environment, seeds=20)
    assert run.stuck is None, run.log
    assert run.wrong == []
    assert run.passed == 20
    assert run.counters["graph_executions"] > 20  # of every decode step at least one
    assert run.counters["hazards"] == 0, run.log


def test_latent_attention_is_the_same_in_any_order(
    vllm_environment: dict[str, str], tmp_path: Path
) -> None:
    case = CASES["latents"]
    run = serve_with_seeds(case, case.make_model(tmp_path / "model"), vllm_environment, seeds=4)
    assert run.stuck is None, run.log
    assert run.wrong == []
    assert run.passed == 4
    assert run.counters["hazards"] == 0, run.log


@pytest.mark.slow
def test_experts_on_two_devices_are_the_same_in_any_order(
    vllm_environment: dict[str, str], tmp_path: Path
) -> None:
    case = CASES["experts"]
    run = serve_with_seeds(case, case.make_model(tmp_path / "model"), vllm_environment, seeds=2)
    assert run.stuck is None, run.log
    assert run.wrong == []
    assert run.passed == 2
    assert run.counters["hazards"] == 0, run.log


@needs_xlite
def test_steps_on_xlite_are_the_same_in_any_order(
    device_model: Path, vllm_environment: dict[str, str]
) -> None:
    run = serve_with_seeds(CASES["xlite"], device_model, vllm_environment, seeds=3)
    assert run.stuck is None, run.log
    assert run.wrong == []
    assert run.passed == 3
    assert run.counters["hazards"] == 0, run.log
