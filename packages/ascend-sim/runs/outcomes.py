# SPDX-License-Identifier: Apache-2.0
"""Suites of pytest in processes of their own, and what their tests came to."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "run_pytest"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test came to.

    Parameters
    ----------
    group : str
        The module and class of the test, with dots; as much of the module as pytest has seen.
    name : str
        Its name, with parameters.
    kind : {"passed", "skipped", "failed"}
        An error in a fixture is a failure.
    why : str
        First line of the reason, unless it passed.
    """

    group: str
    name: str
    kind: str
    why: str


def run_pytest(
    arguments: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    timeout: float,
    launcher: Sequence[str] = (),
) -> list[Outcome] | None:
    """Run pytest to its end and return what the tests came to.

    Parameters
    ----------
    arguments : sequence of str
        Of pytest.
    folder : path
        Where it runs.
    timeout : float
        Seconds, after which it is killed.
    launcher : sequence of str
        Words in front of the command.

    Returns
    -------
    list of Outcome or None
        None when it did not come to its end.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        process = subprocess.Popen(
            [
                *launcher,
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *arguments,
                f"--junitxml={report}",
            ],
            cwd=folder,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
        # What is left of it, and of processes that tests started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return _read(report) if report.exists() else None


def _read(report: Path) -> list[Outcome]:
    found: dict[tuple[str, str], Outcome] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # noqa: S314 - our own
        group, name = case.get("classname", ""), case.get("name", "")
        children = {child.tag: child.get("message", "") for child in case}
        failed = next((tag for tag in ("failure", "error") if tag in children), None)
        kind = "failed" if failed else "skipped" if "skipped" in children else "passed"
        why = children.get(failed or "skipped", "").partition("\n")[0]
        before = found.get((group, name))
        if before is None or before.kind != "failed":  # two entries if its teardown fails
            found[group, name] = Outcome(group, name, kind, why)
    return list(found.values())
