# SPDX-License-Identifier: Apache-2.0
"""Graphs stay within what a device has of streams, or within a container's share of them.

Queues are in hardware here: a graph takes its streams at its capture and keeps them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.engine import OFF_LIMITS, Batch, EngineResult, EngineRun, EngineRuns, succeeded
from support.models import LAYERS
from support.reference import Reference, make_reference
from support.runs import NEW_TOKENS, PROMPTS, engine_options

SIZES = [1, 2, 4, *range(8, 257, 8)]
"""As vLLM has them by default, up to 256."""
PIECES = LAYERS + 1
WHOLE_DEVICE = 1984
RESERVE = 40
"""What is left for one communicator, where that is no more than a quarter."""

MODES = ("PIECEWISE", "FULL_AND_PIECEWISE")
FITS, OVER, OFF = "fits", "over the budget", "no budget"


@dataclass(frozen=True)
class Machine:
    """A device, or a part of one.

    Attributes
    ----------
    simulator
        Its options.
    streams
        Of the whole device.
    quota
        How many of them this process may have in use, its reserve included.
    """

    simulator: tuple[str, ...]
    streams: int
    quota: int


def device(streams: int) -> Machine:
    return Machine(("--streams", str(streams)), streams, streams)


def partition(percent: int) -> Machine:
    quota = WHOLE_DEVICE * percent // 100
    return Machine(("--partition", f"aicore={percent}"), WHOLE_DEVICE, quota)


MACHINES = {
    "1984 streams": device(WHOLE_DEVICE),
    "512 streams": device(512),
    "96 streams": device(96),
    "50 % of a device": partition(50),
    "10 % of a device": partition(10),
}
SCARCE = ("96 streams", "10 % of a device")
IN_CI = ("10 % of a device", "FULL_AND_PIECEWISE", OVER)
CASES = [
    *((name, mode, OVER if name in SCARCE else FITS) for name in MACHINES for mode in MODES),
    *((name, mode, OFF) for name in SCARCE for mode in MODES),
]


def case_of(name: str, mode: str, kind: str) -> Any:
    marks = [] if (name, mode, kind) == IN_CI else [pytest.mark.slow]
    return pytest.param((name, mode, kind), id=f"{name}, {mode}, {kind}", marks=marks)


@pytest.fixture(scope="module")
def reference(tiny_model: Path) -> Reference:
    return make_reference(tiny_model, PROMPTS, NEW_TOKENS)


@pytest.fixture(scope="module", params=[case_of(*case) for case in CASES])
def case(request: pytest.FixtureRequest) -> tuple[str, str, str]:
    given: tuple[str, str, str] = request.param
    return given


@pytest.fixture(scope="module")
def result(
    case: tuple[str, str, str], tiny_model: Path, vllm_environment: dict[str, str]
) -> EngineResult:
    name, mode, kind = case
    options = engine_options(
        tiny_model,
        mode,
        max_num_seqs=32,
        compilation_config={"cudagraph_mode": mode, "cudagraph_capture_sizes": SIZES},
        additional_config={"graph": {"stream_budget": False}} if kind == OFF else {},
    )
    runs = EngineRuns(
        vllm_environment, (*OFF_LIMITS, "--sq", "hardware", *MACHINES[name].simulator)
    )
    run = EngineRun(name, options, [Batch(PROMPTS, NEW_TOKENS)])
    return succeeded(runs.results([run])[name])


def test_tokens_equal_transformers(result: EngineResult, reference: Reference) -> None:
    assert result.tokens == [reference.tokens]


def test_with_a_budget_the_engine_stays_within_its_quota(
    case: tuple[str, str, str], result: EngineResult
) -> None:
    """And without one it takes all that the device has, whoever else is there."""
    name, _, kind = case
    machine = MACHINES[name]
    in_use = machine.streams - min(result.streams)
    if kind == OFF and machine.quota < machine.streams:
        assert in_use > machine.quota
    elif kind == OFF:
        assert machine.quota - in_use < PIECES
    else:
        assert in_use <= machine.quota - min(RESERVE, machine.quota // 8)


def test_every_mode_has_its_largest_and_smallest_size_and_all_where_they_fit(
    case: tuple[str, str, str], result: EngineResult
) -> None:
    _, mode, kind = case
    captured = result.stats[-1]["graphs"]
    assert set(captured) == set(mode.split("_AND_"))
    for name, counts in captured.items():
        wanted = [size for size in SIZES if name == "PIECEWISE" or size <= 32]
        sizes = sorted(map(int, counts))
        assert {sizes[0], sizes[-1]} == {1, wanted[-1]}
        assert kind != FITS or sizes == wanted


def test_the_log_has_the_plan_and_a_shortage_only_without_a_budget(
    case: tuple[str, str, str], result: EngineResult
) -> None:
    name, mode, kind = case
    for kind_of_graphs in mode.split("_AND_"):
        assert f"\n{kind_of_graphs} " in plain(result.log)
    assert ("over the budget: " in result.log) == (kind == OVER)
    is_short = kind == OFF and name == "96 streams"
    assert ("not every size has a graph" in result.log) == is_short
    origin = {OFF: "no budget of streams", OVER: "less a reserve of"}
    assert origin.get(kind, "less a reserve of") in result.log


def plain(log: str) -> str:
    """The log without the prefix of each line, with which vLLM repeats the head of a message."""
    return "\n".join(line.rpartition("] ")[2] for line in log.splitlines())
