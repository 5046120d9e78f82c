# SPDX-License-Identifier: Apache-2.0
"""The conformance suite holds all of the numbered cases, and its mutations fit the sources."""

import ast
import importlib.util
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
SUITE = PACKAGE / "conformance"


def test_every_case_has_a_test() -> None:
    spec = importlib.util.spec_from_file_location("rules", SUITE / "rules.py")
    rules = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(rules)
    tested = {
        case
        for path in SUITE.glob("test_*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "rule"
        for case in rules.cases(mark.args[0].value)
    }
    assert rules.CASES - tested == set()


def test_every_mutation_still_has_its_place() -> None:
    mutations = tomllib.loads((SUITE / "mutations.toml").read_text())["mutation"]
    assert len(mutations) >= 10
    for mutation in mutations:
        source = (PACKAGE / "csrc" / mutation["file"]).read_text()
        assert source.count(mutation["old"]) == 1, mutation["rule"]
