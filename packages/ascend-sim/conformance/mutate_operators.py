# SPDX-License-Identifier: Apache-2.0
"""Plant mistakes in operators, one at a time, and see their tests fail.

``python packages/ascend-sim/conformance/mutate_operators.py [WORDS] [--library PATH]``: in all
operators, or in those with one of the words in their names. Builds libopapi with
-DASCEND_SIM_MUTATE=ON, in which an argument of an operator can be misread while the program runs
(csrc/opapi/mutate), or takes such a library. What is planted: two arguments of a kind are swapped,
a tensor's strides are dropped, a dtype is taken for another one of its size, a number is off. The
tests that are run are those of a suite that launch the operator (tests/SUITE/operators.json), for
each mistake in a process forked after the imports. A mistake without effect changes nothing in any
of these calls, as when both arguments are null.

Fails when a mistake survives and `equivalent.toml` does not say why it must, and when the tests
fail without one.
"""

import argparse
import contextlib
import ctypes
import functools
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mutate import Workshop

__all__ = ["main"]

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
SUITES: dict[str, Literal["device", "off"]] = {"ops": "device", "models": "off"}  # their limits
ALREADY_IMPORTED = "ignore:Module already imported:pytest.PytestAssertRewriteWarning"
PATIENCE = 120  # seconds until a run that hangs counts as one that fails
WHOLE_SUITE = 1800  # the same, for all tests

NUMBERS = ("int64", "int32", "int8", "bool", "double", "float", "scalar", "ints")
PASSED, FAILED, NO_EFFECT = 0, 1, 77


@dataclass(frozen=True)
class Mistake:
    """A mistake in the arguments of one operator."""

    op: str
    kind: str
    first: int
    second: int = 0

    KINDS = ("swap", "stride", "dtype", "value")

    def __str__(self) -> str:
        places = f"{self.first} {self.second}" if self.kind == "swap" else str(self.first)
        return f"{self.op} {self.kind} {places}"

    def plant(self, library: ctypes.CDLL) -> None:
        """Put the mistake in force."""
        kind = self.KINDS.index(self.kind)
        library.ascendSimPlant(self.op.encode(), kind, self.first, self.second)


def mistakes(op: str, kinds: list[str]) -> Iterator[Mistake]:
    """Return the mistakes that can be made in the declaration of an operator."""
    for (i, one), (j, other) in itertools.combinations(enumerate(kinds), 2):
        # Neighbours of a kind are what one confuses; outputs are tensors as well.
        if one == other and one != "text" and kinds[i:j].count(one) == 1:
            yield Mistake(op, "swap", i, j)
    for i, kind in enumerate(kinds):
        if kind in ("tensor", "tensors"):
            yield Mistake(op, "stride", i)
            yield Mistake(op, "dtype", i)
        elif kind in NUMBERS:
            yield Mistake(op, "value", i)


def _run_tests(mistake: Mistake | None, library: ctypes.CDLL, tests: list[str]) -> int:
    """In a child: run the tests with the mistake in force and return what came of it."""
    import pytest

    if mistake is not None:
        mistake.plant(library)
    # ascend_sim has a plugin for pytest, and is imported here before pytest can rewrite it.
    arguments = ["-x", "-q", "-p", "no:cacheprovider", "-W", ALREADY_IMPORTED]
    status = pytest.main([*arguments, *(f"{TESTS}/{test}" for test in tests)])
    if mistake is not None and library.ascendSimMutatedCalls() == 0:
        return NO_EFFECT
    return PASSED if status == 0 else FAILED


def outcome(
    mistake: Mistake | None, library: ctypes.CDLL, tests: list[str], patience: int = PATIENCE
) -> str:
    """Return what the tests say of a mistake: "caught", "survived" or "without effect"."""
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 - a file descriptor is wanted
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        signal.alarm(patience)
        status = FAILED
        with contextlib.suppress(BaseException):
            status = _run_tests(mistake, library, tests)
        os._exit(status)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return {PASSED: "survived", NO_EFFECT: "without effect"}.get(code, "caught")


def _package_with(library: Path, folder: Path) -> None:
    """Make a copy of the installed package whose libopapi is `library`, and import from there."""
    import ascend_sim

    installed = ascend_sim.library_path("libopapi.so").parent
    package = folder / "ascend_sim"
    shutil.copytree(Path(ascend_sim.__file__).parent, package)
    shutil.copytree(installed, package / "lib", dirs_exist_ok=True)
    shutil.copy(library, package / "lib" / "libopapi.so")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ascend_sim"]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    # An editable installation is found before any path.
    sys.meta_path[:] = [f for f in sys.meta_path if not type(f).__name__.startswith("ScikitBuild")]


def _load(suite: str) -> ctypes.CDLL:
    """Import all that the tests import, once for all children; no device is used yet."""
    import ascend_sim

    ascend_sim.activate(ascend_sim.SimConfig(limits=SUITES[suite]))
    import pytest  # noqa: F401
    import torch_npu  # noqa: F401

    library = ctypes.CDLL("libopapi.so")
    if not hasattr(library, "ascendSimPlant"):
        raise SystemExit("libopapi was built without ASCEND_SIM_MUTATE: nothing can be planted")
    return library


def _operators(library: ctypes.CDLL, words: list[str]) -> dict[str, list[str]]:
    library.ascendSimDescribeOperators.restype = ctypes.c_char_p
    lines = library.ascendSimDescribeOperators().decode().splitlines()
    declared = {name: kinds for name, *kinds in (line.split() for line in lines)}
    return {n: k for n, k in declared.items() if not words or any(word in n for word in words)}


def _chosen(made: Iterator[Mistake], number: int) -> list[Mistake]:
    """Return so many of the mistakes, of all kinds in turn, those in the first arguments first."""
    kinds: dict[str, list[Mistake]] = {kind: [] for kind in Mistake.KINDS}
    for mistake in made:
        kinds[mistake.kind].append(mistake)
    turns = itertools.zip_longest(*kinds.values())
    return [mistake for turn in turns for mistake in turn if mistake is not None][:number]


class Tests:
    """The tests of a suite, which pass while no mistake is planted."""

    def __init__(self, suite: str, library: ctypes.CDLL) -> None:
        record = (TESTS / suite / "operators.json").read_text(encoding="utf-8")
        self._record: dict[str, dict[str, list[str]]] = json.loads(record)
        self._suite, self._library = suite, library
        text = (HERE / "equivalent.toml").read_text(encoding="utf-8")
        self._equivalent: dict[str, str] = tomllib.loads(text)

    def launch(self, op: str) -> bool:
        """Return whether a test launches an operator."""
        return op in self._record

    def see(self, mistake: Mistake) -> str:
        """Return what comes of a mistake, as of `outcome`, or "equivalent"."""
        tests = self._record[mistake.op]["tests"]
        self._demand_green(tuple(tests), PATIENCE)
        result = outcome(mistake, self._library, tests)
        if result == "survived" and str(mistake) in self._equivalent:
            return "equivalent"
        if result == "survived":  # the record names only the tests nearest to an operator
            self._demand_green((self._suite,), WHOLE_SUITE)
            result = outcome(mistake, self._library, [self._suite], WHOLE_SUITE)
        return result

    @functools.cache  # noqa: B019 - there is one of these
    def _demand_green(self, tests: tuple[str, ...], patience: int) -> None:
        # Also a test that is not found would count as one that fails.
        if outcome(None, self._library, list(tests), patience) != "survived":
            raise SystemExit(f"without any mistake these fail: {' '.join(tests)}")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {result}" for result, number in sorted(counts.items()))


def main() -> int:
    """Return 0 when every mistake was caught, or is listed with the reason why it cannot be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of the names of operators")
    parser.add_argument("--library", type=Path, help="libopapi built with ASCEND_SIM_MUTATE=ON")
    parser.add_argument("--suite", choices=SUITES, default="ops", help="of which tests")
    parser.add_argument("--each", type=int, default=1 << 30, help="mistakes per operator at most")
    parser.add_argument(
        "--minutes", type=float, default=60.0, help="start no operator after that many"
    )
    options = parser.parse_args()
    until = time.monotonic() + options.minutes * 60
    counts: Counter[str] = Counter()
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        built = options.library or Workshop(Path(folder), "-DASCEND_SIM_MUTATE=ON").build("opapi")
        _package_with(built, Path(folder))
        library = _load(options.suite)
        tests = Tests(options.suite, library)
        for op, kinds in _operators(library, options.words).items():
            if not tests.launch(op):
                print(f"no test in {options.suite} launches {op}", flush=True)
                continue
            if time.monotonic() > until:
                break
            results: Counter[str] = Counter()
            for mistake in _chosen(mistakes(op, kinds), options.each):
                result = tests.see(mistake)
                results[result] += 1
                if result == "survived":
                    print(f"{result:12} {mistake}", flush=True)
            print(f"{op}: {_told(results)}", flush=True)
            counts += results
            seen += 1
    print(f"{counts.total()} mistakes in {seen} operators: {_told(counts)}")
    return int(counts["survived"] > 0)


if __name__ == "__main__":
    sys.exit(main())
