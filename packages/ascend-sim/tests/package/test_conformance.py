# SPDX-License-Identifier: Apache-2.0
"""The conformance suite holds all of the numbered cases."""

import ast
import importlib.util
from pathlib import Path

SUITE = Path(__file__).parents[2] / "conformance"


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
