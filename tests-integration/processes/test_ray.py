# SPDX-License-Identifier: Apache-2.0
"""Workers that Ray starts give the tokens of transformers, on the devices that Ray gives them."""

import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.engine import OFF_LIMITS, Batch, EngineRun, EngineRuns, succeeded, under_simulator
from support.reference import make_reference
from support.runs import PROMPTS, engine_options
from support.scripts import lines_of

NEW_TOKENS = 24
RAY = {"distributed_executor_backend": "ray"}
NO_STREAMS = ("--fault", "fail:aclmdlRICaptureBegin,from=1,code=207005")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install ray"),
]


@pytest.fixture(scope="module")
def environment(vllm_environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A short path for Ray, whose sockets have long names."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        yield {**vllm_environment, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}


@pytest.fixture(scope="module")
def runs(environment: dict[str, str]) -> EngineRuns:
    return EngineRuns(environment, (*OFF_LIMITS, "--devices", "2"))


@pytest.mark.parametrize("size", ["tensor_parallel_size", "pipeline_parallel_size"])
def test_tokens_equal_transformers(size: str, tiny_model: Path, runs: EngineRuns) -> None:
    options = engine_options(tiny_model, "FULL_AND_PIECEWISE", **RAY, **{size: 2})
    run = EngineRun(f"Ray, {size}", options, [Batch(PROMPTS, NEW_TOKENS)])
    result = succeeded(runs.results([run])[run.name])
    assert result.tokens[0] == make_reference(tiny_model, PROMPTS, NEW_TOKENS).tokens
    assert result.stats[-1]["replays"] > 0
    assert result.stats[-1]["eager_decode_steps"] == 0


def test_workers_take_the_devices_that_ray_gives_them(
    tiny_model: Path, environment: dict[str, str]
) -> None:
    """Given a program in the same cluster that has filled the first of three devices."""
    options = engine_options(tiny_model, "FULL_AND_PIECEWISE", **RAY, pipeline_parallel_size=2)
    job = {"options": options, "prompts": PROMPTS, "new_tokens": NEW_TOKENS}
    simulator = (*OFF_LIMITS, "--devices", "3")
    (tokens,) = lines_of("ray_process.py", environment, job, simulator=simulator)
    assert tokens == make_reference(tiny_model, PROMPTS, NEW_TOKENS).tokens


def test_a_server_that_does_not_start_says_why_at_the_end(
    tiny_model: Path, environment: dict[str, str]
) -> None:
    """Given chips without a stream for a single graph."""
    serve = ("vllm", "serve", str(tiny_model), "--max-model-len", "512", "--dtype", "float32")
    parallel = ("--distributed-executor-backend", "ray", "--tensor-parallel-size", "2")
    server = subprocess.run(
        under_simulator(*serve, *parallel, options=(*OFF_LIMITS, *NO_STREAMS, "--devices", "2")),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert server.returncode != 0
    end = server.stdout.rpartition("Engine core initialization failed")[2]
    for words in ("the engine did not start", "OUT_OF_QUEUES", "--enforce-eager"):
        assert words in end
