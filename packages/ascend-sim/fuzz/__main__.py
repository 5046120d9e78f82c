# SPDX-License-Identifier: Apache-2.0
"""Fuzz the C API of libopapi: no call, however wrong, may end the process or leave its tensors.

``python packages/ascend-sim/fuzz --minutes 2 [--seed N] [--only WORD]``. Prints each finding as the
smallest call that shows it; fails when there is one. ``--call JSON`` makes such a call again. Those
of found.jsonl, which once were findings, are made first. With ``--calls N`` in the place of
``--minutes`` a seed makes the same calls on every machine.
"""

import argparse
import itertools
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from calls import calls
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky, HypothesisWarning

__all__ = ["main"]

FOUND = Path(__file__).with_name("found.jsonl")
WORKER = Path(__file__).with_name("worker.py")
LIMITS = ("device", "off")
PATIENCE = 20.0  # seconds until a call counts as one that never ends
BATCH = 400
MUCH = 1 << 26  # elements, of which an operator does not do so many in PATIENCE


class FindingError(AssertionError):
    """A call that did what no call may do."""


class EndlessError(Exception):
    """A call that did not end in time; not made smaller, which would take as long each time."""


class Child:
    """The worker, started again whenever it has ended."""

    def __init__(self, limits: str) -> None:
        self._limits = limits
        self._process: subprocess.Popen[str] | None = None
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the child
        self.operators: dict[str, list[str]] = json.loads(self._start())

    def _start(self) -> str:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(WORKER), self._limits],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def call(self, call: dict[str, Any]) -> str:
        """Make a call; return the code of its first phase, or raise what it did instead."""
        if self._process is None:
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(call) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        answer = process.stdout.readline().strip() if ready else ""
        if answer:
            return answer
        self.close()
        if not ready:
            raise EndlessError(f"it did not end within {PATIENCE:g} s")
        code = process.returncode
        why = signal.Signals(-code).name if code < 0 else f"code {code}"
        raise FindingError(f"the process ended with {why}: {self._last_words()}")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if not line.startswith("[W")]
        self._errors.truncate(0)
        return " / ".join(lines[-3:])

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def asks_for_much(arguments: Any) -> bool:
    """Whether a call has a size or another number with which it may well take long."""
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if isinstance(arguments, list):
        return any(map(asks_for_much, arguments))
    return isinstance(arguments, int) and abs(arguments) >= MUCH


class Fuzzer:
    """Draws calls until it is over, by turns with the limits of a device and without.

    ``is_over`` gets the number of calls that were drawn.
    """

    def __init__(
        self,
        children: tuple[Child, ...],
        operators: dict[str, list[str]],
        is_over: Callable[[int], bool],
    ) -> None:
        self._children, self._operators, self._is_over = children, operators, is_over
        self._drawn = 0
        self.codes: dict[str, int] = {}
        self.findings: list[str] = []

    def repeat(self, calls: Iterable[dict[str, Any]]) -> None:
        """Make calls that are known."""
        for call, child in itertools.product(calls, self._children):
            try:
                child.call(call)
            except FindingError as finding:
                self._report(call, finding)

    def run(self, first_seed: int) -> None:
        """Run batches; an operator with a finding is left out of the next ones."""
        number = first_seed
        while self._operators and not self._is_over(self._drawn):
            bad: list[tuple[dict[str, Any], FindingError]] = []
            child = self._children[number % len(self._children)]

            @seed(number)
            @settings(
                max_examples=BATCH,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            )
            @given(calls(dict(self._operators)))
            def batch(call: dict[str, Any]) -> None:
                if self._is_over(self._drawn) and not bad:  # noqa: B023 - of this batch
                    return
                self._drawn += 1
                try:
                    code = child.call(call)  # noqa: B023
                except EndlessError as endless:
                    if call["op"] in self._operators and not asks_for_much(call["arguments"]):
                        self._report(call, endless)
                    return
                except FindingError as finding:
                    bad.append((call, finding))  # noqa: B023
                    raise
                self.codes[code] = self.codes.get(code, 0) + 1

            try:
                batch()
            except (FindingError, Flaky) as error:
                call, finding = bad[-1]  # the smallest
                self._report(call, finding, sure=not isinstance(error, Flaky))
            number += 1

    def _report(self, call: dict[str, Any], finding: Exception, *, sure: bool = True) -> None:
        when = "" if sure else " (once, not when called again)"
        self.findings.append(f"{finding}{when}: --call '{json.dumps(call)}'")
        print(self.findings[-1], flush=True)
        self._operators.pop(call["op"], None)


def main() -> int:
    """Return 0 when nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=2.0)
    length.add_argument("--calls", type=int, help="draw so many calls, however long they take")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--only", default="", help="operators with this word in their names")
    parser.add_argument("--call", help="make this call, as it was printed")
    options = parser.parse_args()
    # A finding's call is shown by this program; how hypothesis would show it is long.
    warnings.filterwarnings("ignore", "Generating overly large repr", HypothesisWarning)
    children = tuple(Child(limits) for limits in LIMITS)
    if options.call:
        print(*(child.call(json.loads(options.call)) for child in children))
        return 0
    operators = {n: kinds for n, kinds in children[0].operators.items() if options.only in n}
    until = time.monotonic() + options.minutes * 60

    def is_over(drawn: int) -> bool:
        if options.calls is not None:
            return drawn >= options.calls
        return time.monotonic() >= until

    fuzzer = Fuzzer(children, operators, is_over)
    known = [json.loads(line) for line in FOUND.read_text(encoding="utf-8").splitlines()]
    fuzzer.repeat(call for call in known if call["op"] in operators)
    fuzzer.run(options.seed)
    for child in children:
        child.close()
    total = sum(fuzzer.codes.values())
    codes = ", ".join(f"{code}: {n}" for code, n in sorted(fuzzer.codes.items()))
    print(f"seed {options.seed}: {total} calls of {len(operators)} operators ({codes})")
    print(f"{len(fuzzer.findings)} finding(s)")
    return int(bool(fuzzer.findings))


if __name__ == "__main__":
    sys.exit(main())
