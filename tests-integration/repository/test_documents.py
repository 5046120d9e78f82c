# SPDX-License-Identifier: Apache-2.0
"""What the documents list is what there is: sessions, variables, packages, links."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    module.parents[2].name: module.parent
    for module in sorted(ROOT.glob("packages/*/src/ascend_*/__init__.py"))
}

VARIABLE = re.compile(r"(ASCEND|ENPU|HCCL|TORCH|VLLM)_[A-Z0-9_]+|ASCEND_SIM|TASK_QUEUE_ENABLE")
OF_TESTS = re.compile(r"ASCEND_(SIM|TEST)(_[A-Z0-9_]+)?")
NOT_VARIABLES = re.compile(r"HCCL_E_[A-Z_]+|HCCL_SUCCESS")  # names of codes


def cells_of(page: Path, column: int) -> list[str]:
    """Texts in backticks in one column of the tables of a page."""
    rows = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[column])]


def test_contributing_lists_every_session_of_nox() -> None:
    command = (sys.executable, "-m", "nox", "--list-sessions", "--no-color")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    # unit-3.12 and matrix(vllm-0.33) are sessions with a parameter.
    sessions = re.findall(r"^[*-] ([a-z_-]+?)(?:-\d\.\d+|\(\S+\))? -> ", listed, re.M)

    assert set(cells_of(ROOT / "CONTRIBUTING.md", 1)) == set(sessions)


def strings_of(path: Path) -> Iterator[str]:
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    else:
        yield from re.findall(r'"(\w+)"', path.read_text())


def variables_of(sources: list[Path], pattern: re.Pattern[str]) -> set[str]:
    texts = {text for source in sources for text in strings_of(source)}
    named = {text for text in texts if pattern.fullmatch(text)}
    return {name for name in named if not NOT_VARIABLES.fullmatch(name)}


def test_the_page_of_environment_variables_lists_every_variable() -> None:
    products = [
        *(path for source in SOURCES.values() for path in source.rglob("*.py")),
        *(path for suffix in ("h", "cpp") for path in ROOT.glob(f"packages/*/csrc/**/*.{suffix}")),
        *(ROOT / "noxfile.py", ROOT / "torch_build.py"),
    ]
    tests = [*ROOT.glob("tests-integration/*.py"), *ROOT.glob("packages/*/tests/**/*.py")]
    tests += ROOT.glob("packages/ascend-sim/conformance/*.py")

    used = variables_of(products, VARIABLE) | variables_of(tests, OF_TESTS)

    assert used - set(cells_of(ROOT / "docs" / "environment-variables.md", 1)) == set()


def test_the_api_reference_lists_every_package() -> None:
    listed = re.findall(r"^ascend-\S+$", (ROOT / "docs" / "api" / "index.md").read_text(), re.M)

    assert sorted(listed) == sorted(SOURCES)


QUOTE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
LINKING = sorted([*ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md"), *ROOT.glob("benchmarks/*.md")])


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file(page: Path) -> None:
    """Those of `docs` are checked when it is built."""
    missing = [to for to in LINK.findall(page.read_text()) if not (page.parent / to).exists()]

    assert missing == []


def test_the_symptoms_in_troubleshooting_are_texts_of_the_sources() -> None:
    rows = (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    symptoms = [quote for row in rows if "|" in row for quote in QUOTE.findall(row.split("|")[1])]
    suffixes = ("py", "cpp", "h")
    sources = [path for suffix in suffixes for path in ROOT.glob(f"packages/*/*src/**/*.{suffix}")]

    texts = "\n".join(path.read_text() for path in (*sources, ROOT / "torch_build.py"))

    assert [symptom for symptom in symptoms if symptom not in texts] == []
