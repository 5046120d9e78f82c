# SPDX-License-Identifier: Apache-2.0
"""`vllm serve` under load, and what is left of it afterwards."""

import gzip
import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from support.reference import make_reference
from support.serve import MODEL, Server, complete, counted_steps, leftovers, running

STOP_TIMEOUT_S = 15
REQUESTS = 32
NEW_TOKENS = 24
KINDS = ("cpu_op", "kernel")  # of events in a trace


@pytest.fixture(scope="module")
def files_before(vllm_environment: dict[str, str]) -> set[Path]:
    return leftovers(vllm_environment)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.fixture(scope="module")
def server(
    tiny_model: Path,
    vllm_environment: dict[str, str],
    files_before: set[Path],
    traces: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    profiler = {"profiler": "torch", "torch_profiler_dir": str(traces)}
    options = ("--profiler-config", json.dumps(profiler))
    folder = tmp_path_factory.mktemp("serve")
    with running(tiny_model, folder, vllm_environment, *options) as server:
        yield server


def cancel_after_the_first_token(client: httpx.Client, prompt: list[int]) -> None:
    body = {"model": MODEL, "prompt": prompt, "max_tokens": 400, "ignore_eos": True, "stream": True}
    with client.stream("POST", "/v1/completions", json=body) as stream:
        next(line for line in stream.iter_lines() if line.startswith("data: "))


def stream_chat(client: httpx.Client) -> int:
    """Number of pieces that a streamed chat answer comes in."""
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": NEW_TOKENS,
        "ignore_eos": True,
        "stream": True,
    }
    with client.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = [line.removeprefix("data: ") for line in stream.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    return sum(bool(json.loads(line)["choices"]) for line in lines[:-1])


def test_metrics_count_steps_by_what_ran_them(server: Server) -> None:
    """Given a prompt that no graph holds, and its answer, of which each token but one is a step."""
    with server.client() as client:
        before = counted_steps(client)
        complete(client, list(range(100)), NEW_TOKENS)
        deadline = time.monotonic() + 10
        while True:
            after = counted_steps(client)
            rise = {labels: after[labels] - before.get(labels, 0) for labels in after}
            if sum(rise.values()) >= NEW_TOKENS or time.monotonic() > deadline:
                break
            time.sleep(0.1)

    by_path = {
        path: steps
        for labels, steps in rise.items()
        for path in (("decode", "FULL"), ("prefill", "larger than every graph"))
        if all(f'"{word}"' in labels for word in path)
    }
    assert by_path == {
        ("decode", "FULL"): NEW_TOKENS - 1,
        ("prefill", "larger than every graph"): 1,
    }


def test_concurrent_requests_get_the_tokens_of_transformers_while_others_are_cancelled(
    server: Server, tiny_model: Path
) -> None:
    prompts = [[index, *range(1, 3 + index * 5)] for index in range(REQUESTS)]
    kept = [prompt for index, prompt in enumerate(prompts) if index % 4]
    cancelled = [prompt for index, prompt in enumerate(prompts) if not index % 4]
    expected = make_reference(tiny_model, kept, NEW_TOKENS).tokens
    with server.client() as client, ThreadPoolExecutor(REQUESTS + 1) as pool:
        answers = [pool.submit(complete, client, prompt, NEW_TOKENS) for prompt in kept]
        stops = [pool.submit(cancel_after_the_first_token, client, prompt) for prompt in cancelled]
        chat = pool.submit(stream_chat, client)
        for stop in stops:
            stop.result()
        assert chat.result() > 1
        assert [answer.result() for answer in answers] == expected


def test_the_server_reports_its_graphs(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/collective_rpc", json={"method": "graph_stats"}).raise_for_status()
    stats = answer.json()["results"][0]
    assert stats["backend"] == "aclgraph"
    assert stats["cudagraph_mode"] == "FULL_AND_PIECEWISE"
    assert stats["replays"] > 0
    assert stats["eager_decode_steps"] == 0


def test_a_profile_has_the_operators_of_the_host_and_the_kernels_of_the_device(
    server: Server, traces: Path
) -> None:
    with server.client() as client:
        client.post("/start_profile").raise_for_status()
        complete(client, [1, 2, 3], NEW_TOKENS)
        client.post("/stop_profile").raise_for_status()
    (trace,) = traces.glob("rank0.*.pt.trace.json.gz")
    with gzip.open(trace, "rt") as file:
        events = json.load(file)["traceEvents"]
    names = {
        kind: {event["name"] for event in events if event.get("cat") == kind} for kind in KINDS
    }
    assert "vllm::unified_attention_with_output" in names["cpu_op"]
    assert "aclnnFusedInferAttentionScoreV3" in names["kernel"]


def test_sigterm_stops_the_server_and_leaves_nothing(
    server: Server, files_before: set[Path]
) -> None:
    family = [server.process, *server.process.children(recursive=True)]
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
    assert not alive, f"{alive} after {time.monotonic() - began:.0f} s"
    assert leftovers(server.environment) <= files_before
    assert {path.name for path in server.log.parent.iterdir()} == {"log"}
