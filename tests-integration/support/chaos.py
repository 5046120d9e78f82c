# SPDX-License-Identifier: Apache-2.0
"""Serving under chaos: the same eight requests with many seeds of the scheduler, the same tokens.

``python -m support.chaos --seeds 1000`` is what `nox -s chaos` runs; one more word chooses another
of the `CASES`.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.reference import judge
from support.engine import OFF_LIMITS, under_simulator
from support.models import make_device_model, make_model
from support.reference import make_reference
from support.runs import PROMPTS, engine_options
from support.xlite_engines import xlite as xlite_options

__all__ = ["CASES", "ChaosCase", "ChaosRun", "serve_with_seeds"]

NEW_TOKENS = 8
_PROCESS = Path(__file__).with_name("chaos_process.py")
_START_S = 900  # an engine starts within this
_ROUND_S = 300  # and answers within this, or it hangs


@dataclass(frozen=True)
class ChaosCase:
    """What is served.

    Attributes
    ----------
    family
        Of the model; see `make_model`.
    options
        Of ``vllm.LLM``, beside those of FULL_AND_PIECEWISE.
    devices
        Ranks of tensor parallelism.
    is_rounded
        Whether it is computed in bf16, on what a device takes. transformers allows several tokens
        then, so it judges those of the first seed, and the others must have the same.
    """

    family: str
    options: Mapping[str, Any] = field(default_factory=dict)
    devices: int = 1
    is_rounded: bool = False

    def make_model(self, folder: Path) -> Path:
        """Write the model."""
        return (make_device_model if self.is_rounded else make_model)(self.family, folder)

    @property
    def simulator(self) -> list[str]:
        """Options of ``ascend-sim run``."""
        return ["--devices", str(self.devices), *(() if self.is_rounded else OFF_LIMITS)]


_XLITE = {
    "dtype": "bfloat16",
    "additional_config": xlite_options(full_mode=True),
    "enable_prefix_caching": False,  # what is computed at once decides how it is rounded
}
CASES = {
    "dense": ChaosCase("qwen3"),
    "experts": ChaosCase("mixtral", {"tensor_parallel_size": 2}, devices=2),
    "latents": ChaosCase("deepseek_v3"),
    "xlite": ChaosCase("qwen3", _XLITE, is_rounded=True),
}
"""By name. With "xlite", xlite runs every step."""


@dataclass
class ChaosRun:
    """What came of the seeds.

    Attributes
    ----------
    passed
        How many gave the tokens of the reference.
    wrong
        Seeds that gave other tokens.
    stuck
        The seed in which the engine ended or hung; None if none did.
    counters
        The simulator's, of all devices together, at the end.
    log
        The end of what the process wrote to stderr.
    """

    passed: int = 0
    wrong: list[int] = field(default_factory=list)
    stuck: int | None = None
    counters: dict[str, int] = field(default_factory=dict)
    log: str = ""


def serve_with_seeds(
    case: ChaosCase,
    model: Path,
    environment: dict[str, str],
    *,
    seeds: int,
    first: int = 0,
    progress: Callable[[ChaosRun], None] = lambda _: None,
) -> ChaosRun:
    """Serve eight requests per seed and compare the tokens with those of transformers.

    Parameters
    ----------
    case
        What is served.
    model
        Of the case.
    environment
        Of the engine's process.
    seeds, first
        How many seeds, and the first of them.
    progress
        Is told of each seed.
    """
    expected = None if case.is_rounded else make_reference(model, PROMPTS, NEW_TOKENS).tokens
    job = {
        "options": engine_options(model, "FULL_AND_PIECEWISE", **case.options),
        "prompts": PROMPTS,
        "new_tokens": NEW_TOKENS,
        "first": first,
        "seeds": seeds,
    }
    options = (*case.simulator, "--schedule", f"chaos:{first}", "--check", "hazards")
    run = ChaosRun()
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(
            under_simulator(sys.executable, str(_PROCESS), options=options),
            env={**environment, "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdin is not None
        json.dump(job, process.stdin)
        process.stdin.close()
        for word, content in _messages(process):
            if word == "RESULT":
                result = json.loads(content)
                if expected is None and not judge(model, PROMPTS, result["tokens"]).wrong:
                    expected = result["tokens"]
                if result["tokens"] == expected:
                    run.passed += 1
                else:
                    run.wrong.append(result["seed"])
                progress(run)
            elif word == "COUNTERS":
                run.counters = json.loads(content)
        if not run.counters:
            run.stuck = first + run.passed + len(run.wrong)
            process.kill()
        process.wait()
        log.seek(0)
        run.log = log.read()[-12000:]
    return run


def _messages(process: subprocess.Popen[str]):
    """Yield the words that the process says, until it ends or is silent for too long."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    patience = _START_S
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            return
        if line is None:
            return
        word, _, content = line.partition(" ")
        if word.strip() in ("READY", "RESULT", "COUNTERS"):
            patience = _ROUND_S
            yield word.strip(), content


def main() -> int:
    """Return 0 when every seed gave the right tokens and no hazard was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("case", nargs="?", choices=CASES, default="dense")
    options = parser.parse_args()
    case = CASES[options.case]
    begun = None

    def progress(run: ChaosRun) -> None:
        nonlocal begun
        begun = begun or time.monotonic()
        done = run.passed + len(run.wrong)
        if done % 20 == 0:
            rate = (done - 1) / max(time.monotonic() - begun, 1e-9)
            print(f"{done} seeds, {len(run.wrong)} wrong, {rate:.2f} seeds/s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        run = serve_with_seeds(
            case,
            case.make_model(Path(folder) / "model"),
            dict(os.environ),
            seeds=options.seeds,
            first=options.first,
            progress=progress,
        )
    print(f"{run.passed} of {options.seeds} seeds gave the tokens of the reference")
    if run.wrong:
        print(f"other tokens with the seeds {run.wrong}")
    if run.stuck is not None:
        print(f"{run.log}\nthe engine ended or hung with seed {run.stuck}")
    hazards = run.counters.get("hazards", 0)
    if hazards:
        print(f"{run.log}\n{hazards} hazards, see above")
    return 0 if run.passed == options.seeds and not hazards else 1


if __name__ == "__main__":
    sys.exit(main())
