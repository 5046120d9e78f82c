# SPDX-License-Identifier: Apache-2.0
"""Engines in a process of their own, under the simulator.

Importing vLLM takes longer than most runs, so a process runs several engines one after the other
(`engine_process.py`), and a session runs each group of them once.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "OFF_LIMITS",
    "Batch",
    "EngineResult",
    "EngineRun",
    "EngineRuns",
    "succeeded",
    "under_simulator",
]

OFF_LIMITS = ("--limits", "off")
"""For the simulator: fused attention in fp32 and with small heads, which no device takes."""

_PROCESS = Path(__file__).with_name("engine_process.py")
_TIMEOUT_S = 1200
_ENGINE_S = 120  # more for each engine


@dataclass(frozen=True)
class Batch:
    """Prompts that are given to an engine at once, and how many tokens each is to get.

    Attributes
    ----------
    images
        Files of images, one for each prompt, or None where it has none; empty if none of them has.
    aborted
        Numbers of prompts that are aborted after some steps, and get no tokens.
    """

    prompts: list[list[int]]
    new_tokens: int
    raw_logits: bool = False
    images: list[str | None] = field(default_factory=list)
    aborted: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class EngineRun:
    """One engine, and what it is asked.

    Attributes
    ----------
    name
        For the results.
    options
        Of ``vllm.LLM``.
    batches
        Generated one after the other.
    sabotage
        Name of a function in `engine_process` that breaks something first.
    """

    name: str
    options: dict[str, Any]
    batches: list[Batch]
    sabotage: str | None = None


@dataclass(frozen=True)
class EngineResult:
    """What came of an `EngineRun`.

    Attributes
    ----------
    tokens
        Per batch and prompt.
    logits
        Raw logits of the first new token, per batch and prompt, where asked for.
    stats
        The plugin's own counters (`graph_stats`) after every batch, the state before the first one
        included.
    executions
        The simulator's counter of graph executions at the same points, of the first rank.
    operations
        Its counts of operations and kernels, by name, at the same points and of the same rank.
    streams
        How many more streams the device could give, at the same points and to the same rank.
    log
        All that the process wrote, engines that it ran before or after included.
    """

    tokens: list[list[list[int]]]
    logits: list[list[list[float]]]
    stats: list[dict[str, Any]]
    executions: list[int]
    operations: list[dict[str, int]]
    streams: list[int] = field(default_factory=list)
    log: str = field(default="", repr=False)


@dataclass
class EngineRuns:
    """Runs engines and remembers the results.

    Parameters
    ----------
    environment
        Of the processes.
    simulator
        Options of ``ascend-sim run``.
    """

    environment: dict[str, str]
    simulator: Sequence[str] = ()
    _results: dict[str, EngineResult | str] = field(default_factory=dict)

    def results(self, runs: Sequence[EngineRun]) -> dict[str, EngineResult | str]:
        """Run engines, or return what they gave before.

        Returns
        -------
        dict
            By name; the end of the log and the error instead of a result for an engine that failed.
        """
        new = [run for run in runs if run.name not in self._results]
        if new:
            self._results.update(self._run(new))
        return {run.name: self._results[run.name] for run in runs}

    def _run(self, runs: Sequence[EngineRun]) -> dict[str, EngineResult | str]:
        job = json.dumps([asdict(run) for run in runs])
        process = subprocess.run(
            under_simulator(sys.executable, str(_PROCESS), options=self.simulator),
            env={**self.environment, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
            input=job,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S + _ENGINE_S * len(runs),
        )
        log = process.stdout[-4000:] + process.stderr[-12000:]
        results: dict[str, EngineResult | str] = {run.name: log for run in runs}
        for line in process.stdout.splitlines():
            if line.startswith("RESULT "):
                result = json.loads(line.removeprefix("RESULT "))
                name = result.pop("name")
                results[name] = EngineResult(**result, log=process.stdout + process.stderr)
            elif line.startswith("FAILURE "):
                failure = json.loads(line.removeprefix("FAILURE "))
                results[failure["name"]] = f"{log}\n{failure['error']}"
        return results


def succeeded(result: EngineResult | str) -> EngineResult:
    """Result of an engine, or the failure of the test with the engine's log."""
    assert isinstance(result, EngineResult), result
    return result


def under_simulator(*command: str, options: Sequence[str] = ()) -> list[str]:
    """Command line that runs a command on a simulated NPU."""
    return ["ascend-sim", "run", *options, "--", *command]
