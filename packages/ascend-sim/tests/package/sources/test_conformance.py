# SPDX-License-Identifier: Apache-2.0
"""The conformance suite holds the rules of its page, and its mutations fit the sources."""

import ast
import re
import tomllib
from pathlib import Path

from rules import CASES, cases

PACKAGE = Path(__file__).parents[3]
SUITE = PACKAGE / "conformance"
PAGE = (PACKAGE.parents[1] / "docs" / "runtime-rules.md").read_text(encoding="utf-8")

CITED = {
    mark.args[0].value
    for path in SUITE.rglob("test_*.py")
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(function, ast.FunctionDef)
    for mark in function.decorator_list
    if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "rule"
}
"""Where the rules of the suite's tests stand, such as "case 6" and "section 1.2"."""


def test_every_case_has_a_test() -> None:
    assert CASES - {case for where in CITED for case in cases(where)} == set()


def test_every_case_stands_on_the_page_with_its_source() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == sorted(CASES)
    assert [number for number, source in rows if not source.startswith("`")] == []


def test_every_section_that_is_cited_stands_on_the_page() -> None:
    titles = re.findall(r"^## ([^:\n]+)", PAGE, flags=re.MULTILINE)
    sections = {where for where in CITED if not cases(where)}
    assert sections - {title[0].lower() + title[1:] for title in titles} == set()


def test_every_mutation_still_has_its_place() -> None:
    mutations = tomllib.loads((SUITE / "mutations.toml").read_text())["mutation"]
    assert len(mutations) >= 10
    for mutation in mutations:
        source = (PACKAGE / "csrc" / mutation["file"]).read_text()
        assert source.count(mutation["old"]) == 1, mutation["rule"]
