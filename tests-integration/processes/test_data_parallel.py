# SPDX-License-Identifier: Apache-2.0
"""Two replicas that share the experts of a model give the tokens of one device."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.models import make_model
from support.reference import make_reference
from support.runs import PROMPTS
from support.serve import Server, complete, counted_steps, running

NEW_TOKENS = 16
REPLICAS = 2
LOADS = {
    "one replica is idle": [0] * len(PROMPTS),
    "one has a single request": [0] * (len(PROMPTS) - 1) + [1],
    "both have as many": [index % REPLICAS for index in range(len(PROMPTS))],
}
"""The replica of each request."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model("qwen3_moe", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(
    model: Path, vllm_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server whose devices are late, and do in any order what no rule orders."""
    options = ("--data-parallel-size", str(REPLICAS), "--enable-expert-parallel")
    simulator = ("--devices", str(REPLICAS), "--schedule", "chaos:1")
    folder = tmp_path_factory.mktemp("serve")
    with running(model, folder, vllm_environment, *options, simulator=simulator) as server:
        yield server


@pytest.mark.parametrize("load", LOADS)
def test_tokens_equal_transformers(load: str, server: Server, model: Path) -> None:
    expected = make_reference(model, PROMPTS, NEW_TOKENS).tokens
    with server.client() as client, ThreadPoolExecutor(len(PROMPTS)) as pool:
        answers = [
            pool.submit(complete, client, prompt, NEW_TOKENS, replica)
            for prompt, replica in zip(PROMPTS, LOADS[load], strict=True)
        ]
        assert [answer.result() for answer in answers] == expected


def stats_of(client: httpx.Client) -> dict[str, Any]:
    answer = client.post("/collective_rpc", json={"method": "graph_stats"}).raise_for_status()
    return dict(answer.json()["results"][0])


def test_a_replica_decodes_in_graphs_beside_one_that_is_idle(server: Server) -> None:
    with server.client() as client:
        before = stats_of(client)
        complete(client, [1, 2, 3], NEW_TOKENS, replica=0)
        after = stats_of(client)
    assert after["replays"] - before["replays"] >= NEW_TOKENS - 1
    assert after["eager_decode_steps"] == before["eager_decode_steps"]


def test_only_prompts_of_the_other_replica_keep_a_decode_step_from_its_graph(
    server: Server,
) -> None:
    """They are larger than every graph, and replicas take each step in the same mode."""
    with server.client() as client, ThreadPoolExecutor(1) as pool:
        decoding = pool.submit(complete, client, [1, 2, 3], 200, replica=0)
        while not decoding.done():
            complete(client, list(range(100)), 1, replica=1)
        steps = counted_steps(client)
    eager = [labels for labels in steps if 'kind="decode",path="eager"' in labels]
    assert eager
    assert all("another replica had no graph" in labels for labels in eager), eager
