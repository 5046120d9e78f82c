# SPDX-License-Identifier: Apache-2.0
"""Options of the suite, and its report: which rules of which concept hold."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from acl_abi import NoKernelLauncherError
from acl_fixtures import *  # noqa: F403
from rules import cases


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("conformance")
    group.addoption(
        "--libascendcl",
        metavar="PATH",
        help="the library under test (also: ASCEND_SIM_LIBRARY); else the simulator's",
    )
    group.addoption(
        "--conformance-report", metavar="FILE", help="write the outcome of each rule as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    if named := config.getoption("--libascendcl"):
        os.environ["ASCEND_SIM_LIBRARY"] = named
    if path := config.getoption("--conformance-report"):
        config.pluginmanager.register(_Report(Path(path)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here not in item.path.parents:
            continue
        marker = item.get_closest_marker("rule")
        if marker is None or len(marker.args) != 2:
            raise pytest.UsageError(f"{item.nodeid}: no @rule(where, source)")
        item.user_properties.append(("cases", cases(marker.args[0])))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    try:
        return (yield)
    except NoKernelLauncherError as missing:
        pytest.skip(str(missing))


class _Report:
    """The worst outcome of each rule's tests, by concept, and of each numbered case."""

    _order = ("skipped", "passed", "failed")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._concepts: dict[str, dict[str, str]] = {}
        self._cases: dict[int, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        file, _, name = report.nodeid.rpartition("/")[2].partition("::")
        concept = file.removeprefix("test_").removesuffix(".py")
        rules = self._concepts.setdefault(concept, {})
        test = name.partition("[")[0]
        rules[test] = self._worse(rules.get(test), report.outcome)
        properties: dict[str, Any] = dict(report.user_properties)
        for case in properties.get("cases", []):
            self._cases[case] = self._worse(self._cases.get(case), report.outcome)

    def _worse(self, before: str | None, now: str) -> str:
        return max(before or now, now, key=self._order.index)

    def pytest_sessionfinish(self) -> None:
        report = {"concepts": self._concepts, "cases": self._cases}
        self._path.write_text(json.dumps(report))
