# SPDX-License-Identifier: Apache-2.0
"""Engines one after the other in one process: what one had is free for the next."""

from pathlib import Path
from typing import Any

import pytest
from support.engine import OFF_LIMITS
from support.runs import engine_options
from support.scripts import lines_of

pytestmark = pytest.mark.slow

ENGINES = 5


@pytest.fixture(scope="module")
def results(tiny_model: Path, vllm_environment: dict[str, str]) -> list[dict[str, Any]]:
    job = {"engines": ENGINES, "options": engine_options(tiny_model, "FULL_AND_PIECEWISE")}
    environment = {**vllm_environment, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
    return lines_of("memory_process.py", environment, job, simulator=OFF_LIMITS, count=ENGINES)


def test_deleted_engines_leave_no_more_than_the_first_one(results: list[dict[str, Any]]) -> None:
    """The first leaves what is made once per process: the mask of attention, pools of streams."""
    first, *others = [result["in_use"] for result in results]
    assert others == [first] * (ENGINES - 1)


def test_a_deleted_engine_leaves_no_graph(results: list[dict[str, Any]]) -> None:
    assert [result["in_use"]["models"] for result in results] == [0] * ENGINES


def test_every_engine_gives_the_same_tokens(results: list[dict[str, Any]]) -> None:
    tokens = [result["tokens"] for result in results]
    assert tokens == tokens[:1] * ENGINES
