# SPDX-License-Identifier: Apache-2.0
"""Run tests that others wrote for torch_npu on the simulator, from a checkout of theirs.

``python packages/ascend-sim/runs/upstream.py CHECKOUT [--only WORD] [--timeout SECONDS]``. Which
files, of which commit, and which of their tests are known to fail and why, is in ``upstream.toml``.
Fails when a test fails that is not known to, or when one passes that is.
"""

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Self

from outcomes import Outcome, run_pytest

__all__ = ["main"]

LIST = Path(__file__).with_suffix(".toml")
COLUMNS = ("passed", "skipped", "known", "new", "fixed")


@dataclass(frozen=True, kw_only=True)
class Repository:
    """One table of the list.

    Parameters
    ----------
    name, tag, commit : str
        What the list was made for.
    options : sequence of str
        Options of ``ascend-sim run``.
    files : sequence of str
        Paths of test files in the repository.
    known : dict
        For each test (``file::class::name``), or file that does not come to its end, the reason for
        which it fails.
    """

    name: str
    tag: str
    commit: str
    options: tuple[str, ...]
    files: tuple[str, ...]
    known: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_table(cls, table: dict[str, Any]) -> Self:
        """Return the repository that a table of the list describes."""
        known = {
            test: group["reason"] for group in table.pop("known", ()) for test in group["tests"]
        }
        lists = {key: tuple(table.pop(key)) for key in ("options", "files")}
        return cls(**table, **lists, known=known)


def run_file(checkout: Path, file: str, options: tuple[str, ...], timeout: float) -> dict[str, str]:
    """Run one file in a process of its own; return ``passed``, ``skipped`` or ``failed`` per test.

    If it does not come to its end, the file itself is a test that failed.
    """
    path = checkout / file
    launcher = (str(Path(sys.executable).with_name("ascend-sim")), "run", *options, "--")
    ended = run_pytest(
        [path.name], folder=path.parent, environ=os.environ, timeout=timeout, launcher=launcher
    )
    if ended is None:
        return {file: "failed"}
    return {_name(file, outcome): outcome.kind for outcome in ended}


def _name(file: str, outcome: Outcome) -> str:
    # The group of a file that cannot be imported is empty, and its name that of the module.
    _, _, group = f".{outcome.group}.".partition(f".{Path(file).stem}.")
    return "::".join((file, *filter(None, (group.rstrip("."), outcome.name))))


def judge(outcome: str, known: bool) -> str:
    """Return the column of a test's outcome."""
    if outcome == "failed":
        return "known" if known else "new"
    return "fixed" if outcome == "passed" and known else outcome


def find_repository(checkout: Path, repositories: list[Repository]) -> Repository:
    """Return the repository that a checkout is of, by its files."""
    for repository in repositories:
        if any((checkout / file).is_file() for file in repository.files):
            return repository
    known = "; ".join(f"{each.name} at {each.tag} ({each.commit})" for each in repositories)
    raise SystemExit(f"{checkout} has none of the tests that are known here. Check out {known}")


def commit_of(checkout: Path) -> str:
    """Return the commit of a checkout, or "unknown" without git."""
    git = ("git", "-C", str(checkout), "rev-parse", "HEAD")
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every test ends as the list says."""
    parser = argparse.ArgumentParser(description=__doc__, prog="upstream-tests")
    parser.add_argument("checkout", type=Path, help="folder of a checkout of the repository")
    parser.add_argument("--only", default="", help="only files whose path contains this")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one file")
    parser.add_argument("--list", type=Path, default=LIST, help="another list of tests")
    given = parser.parse_args(arguments)
    tables = tomllib.loads(given.list.read_text(encoding="utf-8"))["repository"]
    repository = find_repository(given.checkout, [Repository.from_table(t) for t in tables])
    commit = commit_of(given.checkout)
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in ("ascend-sim", "torch_npu")
    ]
    print(f"{repository.name} at {commit}, {', '.join(versions)}, {date.today()}")
    if commit != repository.commit:
        print(f"the list was made for {repository.commit} ({repository.tag}): others may differ")
    print(f"{'':60}" + "".join(f"{column:>9}" for column in COLUMNS), flush=True)
    total: Counter[str] = Counter()
    unexpected: list[str] = []
    for file in repository.files:
        if given.only not in file:
            continue
        ended = run_file(given.checkout, file, repository.options, given.timeout)
        columns = {test: judge(each, test in repository.known) for test, each in ended.items()}
        counts = Counter(columns.values())
        total += counts
        unexpected += [
            f"{column}: {t}" for t, column in columns.items() if column in ("new", "fixed")
        ]
        print(f"{file:60}" + "".join(f"{counts[column]:9}" for column in COLUMNS), flush=True)
    print(f"{'all':60}" + "".join(f"{total[column]:9}" for column in COLUMNS))
    print("\n".join(unexpected) if unexpected else "as expected")
    return int(bool(unexpected))


if __name__ == "__main__":
    sys.exit(main())
