# SPDX-License-Identifier: Apache-2.0
"""Run the suites on an NPU and its CANN, and report what differs from the simulator.

``python packages/ascend-sim/runs/hardware.py [--report FILE] [--only SUITE] [--rehearse]
[--short]``. On the simulator every test passes, so each that fails on a device is a difference.
"""

import argparse
import ctypes
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from outcomes import Outcome, run_pytest

__all__ = ["main"]

ROOT = Path(__file__).parents[3]
SIM = "packages/ascend-sim"
LIBRARY = "libascendcl.so"
TIMEOUT_S = 3600.0  # for one file


@dataclass(frozen=True)
class Suite:
    """Tests of one subject.

    Parameters
    ----------
    question : str
        What it asks the device.
    path : str
        Relative to the repository.
    short : str
        What stands for it with ``--short``.
    """

    question: str
    path: str
    short: str


SUITES = {
    "conformance": Suite(
        "the rules of libascendcl",
        f"{SIM}/conformance",
        f"{SIM}/conformance/runtime/test_values.py",
    ),
    "operators": Suite(
        "operators against PyTorch on the CPU",
        f"{SIM}/tests/ops",
        f"{SIM}/tests/ops/nn/test_activation.py",
    ),
    "torch_npu": Suite(
        "streams, memory, graphs and processes of torch_npu",
        f"{SIM}/tests/torch_npu",
        f"{SIM}/tests/torch_npu/test_streams.py",
    ),
    "core": Suite(
        "devices, streams and errors of ascend-core",
        "packages/ascend-core/tests",
        "packages/ascend-core/tests",
    ),
    "ops": Suite(
        "operators of ascend-ops", "packages/ascend-ops/tests", "packages/ascend-ops/tests"
    ),
    "parity": Suite(
        "tokens of vLLM in bf16 against transformers",
        "tests-integration/engine/test_bf16.py",
        "tests-integration/engine/test_bf16.py",
    ),
}
BENCHMARKS = ("bench_ops",)


def needs() -> list[str]:
    """Return what this host lacks, each with what to do."""
    lacking = []
    if not any(Path("/dev").glob("davinci[0-9]*")):
        lacking.append(
            "an NPU with its driver: there is no /dev/davinci0 (in a container: --device)"
        )
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError:
        lacking.append(f"CANN: {LIBRARY} is not found; `source <CANN folder>/set_env.sh`")
    else:
        if hasattr(library, "ascendSimCounters"):
            lacking.append(f"CANN: {LIBRARY} is the simulator's; take it off LD_LIBRARY_PATH")
    return lacking


def files_of(name: str, *, short: bool) -> list[Path]:
    """Return the files of tests of a suite, those of its folders included."""
    path = ROOT / (SUITES[name].short if short else SUITES[name].path)
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path]


def run_suite(name: str, *, short: bool, environ: Mapping[str, str], real: bool) -> list[Outcome]:
    """Run each file of a suite in a process of its own: a task that fails stops the device for it.

    A file that does not come to its end is one failure.
    """
    library = [f"--libascendcl={LIBRARY}"] if real and name == "conformance" else []
    outcomes: list[Outcome] = []
    every = [] if short else ["-m", ""]  # those too that are slow, which CI leaves out
    for file in files_of(name, short=short):
        arguments = [str(file), *library, *every]
        ended = run_pytest(arguments, folder=ROOT, environ=environ, timeout=TIMEOUT_S)
        outcomes += ended or [Outcome(file.stem, "", "failed", "it did not come to its end")]
    return outcomes


def output_of(*command: str, environ: Mapping[str, str]) -> str:
    """Return what a command prints, errors included."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.rstrip()


def table(results: Mapping[str, list[Outcome]], seconds: Mapping[str, float]) -> Iterator[str]:
    """Yield a line for each suite."""
    yield "| suite | asks | passed | differ | not asked | seconds |"
    yield "|---|---|---|---|---|---|"
    for name, outcomes in results.items():
        kinds = Counter(outcome.kind for outcome in outcomes)
        counts = " | ".join(str(kinds[kind]) for kind in ("passed", "failed", "skipped"))
        yield f"| {name} | {SUITES[name].question} | {counts} | {seconds[name]:.0f} |"


def details(results: Mapping[str, list[Outcome]]) -> Iterator[str]:
    """Yield every difference, and why tests were skipped."""
    yield "## What differs"
    for name, outcomes in results.items():
        failed = [outcome for outcome in outcomes if outcome.kind == "failed"]
        if failed:
            yield f"\n### {name}\n"
        for outcome in failed:
            yield f"- `{outcome.group}::{outcome.name}`: {outcome.why}"
    if not any(outcome.kind == "failed" for each in results.values() for outcome in each):
        yield "\nNothing."
    yield "\n## What was not asked\n"
    reasons = Counter(
        (name, outcome.why)
        for name, outcomes in results.items()
        for outcome in outcomes
        if outcome.kind == "skipped"
    )
    for (name, why), number in sorted(reasons.items()):
        yield f"- {name}, {number}: {why}"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when nothing differs, 1 when something does, 2 without an NPU."""
    names = [*SUITES, *BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__, prog="hardware")
    parser.add_argument("--report", type=Path, default=Path("hardware.md"), help="Markdown file")
    parser.add_argument("--only", choices=names, action="append", help="repeatable")
    parser.add_argument("--rehearse", action="store_true", help="on the simulator instead")
    parser.add_argument("--short", action="store_true", help="a part of each suite")
    given = parser.parse_args(arguments)
    lacking = [] if given.rehearse else needs()
    if lacking:
        print("There is no NPU to ask. This host needs:", *lacking, sep="\n- ", file=sys.stderr)
        print("`--rehearse` runs the same on the simulator.", file=sys.stderr)
        return 2
    # Off, the simulator leaves its place to CANN wherever a suite activates it.
    environ = os.environ | ({} if given.rehearse else {"ASCEND_SIM": "off"})
    where = "the simulator (a rehearsal)" if given.rehearse else "an NPU"
    commit = output_of("git", "rev-parse", "HEAD", environ=environ)
    doctor = output_of("ascend-sim", "run", "--", "ascend-doctor", environ=environ)
    lines = [f"# The suites on {where}\n", f"{date.today()}, commit {commit}\n"]
    lines += ["```text", doctor, "```\n"]
    results: dict[str, list[Outcome]] = {}
    seconds: dict[str, float] = {}
    chosen = given.only or names
    for name in filter(SUITES.__contains__, chosen):
        print(f"{name}: {SUITES[name].question} ...", flush=True)
        start = time.monotonic()
        results[name] = run_suite(name, short=given.short, environ=environ, real=not given.rehearse)
        seconds[name] = time.monotonic() - start
    lines += [*table(results, seconds), "", *details(results), ""]
    for name in filter(BENCHMARKS.__contains__, chosen):
        print(f"{name} ...", flush=True)
        text = output_of(sys.executable, f"benchmarks/{name}.py", environ=environ)
        lines += [f"## {name}\n", "```text", text, "```"]
    given.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    differing = sum(o.kind == "failed" for outcomes in results.values() for o in outcomes)
    print(f"{differing} test(s) differ; the report is {given.report}")
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
