# SPDX-License-Identifier: Apache-2.0
"""The demo, as `nox -s demo` runs it, but with a tiny model that needs no training."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_demo(
    environment: dict[str, str], *options: str, devices: int = 1
) -> tuple[int, dict[str, Any], str]:
    simulator = ["ascend-sim", "run", "--devices", str(devices), "--"]
    command = [*simulator, sys.executable, "-m", "demo", "--devices", str(devices), *options]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
    )
    lines = result.stdout.strip().splitlines()
    assert lines, result.stderr[-4000:]
    try:
        return result.returncode, json.loads(lines[-1]), result.stdout
    except json.JSONDecodeError as error:
        raise AssertionError(result.stdout[-4000:] + result.stderr[-4000:]) from error


def test_the_demo_serves_with_graphs_and_its_tokens_match(
    device_model: Path, vllm_environment: dict[str, str]
) -> None:
    code, result, output = run_demo(vllm_environment, "--model", str(device_model))
    assert code == 0, output
    assert result["tokens_match_reference"] is True
    assert result["tokens_decided"] > 0.5
    assert result["simulated"] is True
    assert result["backend"] == "aclgraph"
    assert result["cudagraph_mode"] == "FULL_AND_PIECEWISE"
    assert result["requests"] >= 8
    assert result["replays"] > 0
    assert result["eager_decode_steps"] == 0
    assert result["tokens_per_s"] > 0
    assert result["ready_s"] > 0


@pytest.mark.slow
def test_the_demo_on_two_devices_gives_the_same_tokens(
    device_model: Path, vllm_environment: dict[str, str]
) -> None:
    code, result, output = run_demo(vllm_environment, "--model", str(device_model), devices=2)
    assert code == 0, output
    assert result["tokens_match_reference"] is True
    assert result["cudagraph_mode"] == "FULL_AND_PIECEWISE"
    assert result["eager_decode_steps"] == 0


@pytest.mark.slow
def test_the_demo_without_graphs_counts_eager_decode_steps(
    device_model: Path, vllm_environment: dict[str, str]
) -> None:
    code, result, output = run_demo(
        vllm_environment, "--model", str(device_model), "--enforce-eager"
    )
    assert code == 0, output
    assert result["backend"] == "eager"
    assert result["replays"] == 0
    assert result["eager_decode_steps"] == result["decode_steps"] > 0


def test_contradictory_options_are_refused(vllm_environment: dict[str, str]) -> None:
    command = ["ascend-sim", "run", "--", sys.executable, "-m", "demo"]
    result = subprocess.run(
        [*command, "--enforce-eager", "--mode", "FULL"],
        cwd=ROOT,
        env=vllm_environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 2
    assert "--enforce-eager contradicts --mode FULL" in result.stderr
