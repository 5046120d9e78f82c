# SPDX-License-Identifier: Apache-2.0
"""The support matrix, the bounds in Python, every pyproject.toml and the documentation agree."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from ascend_core._bounds import BOUNDS, PYTHON_FLOOR
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import support_matrix
from support_matrix import ROWS, SIMULATED, Row

ROOT = Path(__file__).parents[2]
PROJECTS = {path.parent.name: path for path in sorted(ROOT.glob("packages/*/pyproject.toml"))}


def requirements_of(pyproject: Path) -> Iterator[Requirement]:
    content = tomllib.loads(pyproject.read_text())
    project = content["project"]
    yield from map(Requirement, content["build-system"]["requires"])
    yield from map(Requirement, project.get("dependencies", []))
    for extra in project.get("optional-dependencies", {}).values():
        yield from map(Requirement, extra)


BOUNDED = [
    pytest.param(requirement, id=f"{package}: {requirement}")
    for package, path in PROJECTS.items()
    for requirement in requirements_of(path)
    if requirement.name in BOUNDS
]


@pytest.mark.parametrize("requirement", BOUNDED)
def test_a_requirement_of_a_package_has_the_bounds_of_ascend_core(requirement: Requirement) -> None:
    bound = BOUNDS[requirement.name]
    major, minor = map(int, bound.below.split("."))

    assert bound.floor in requirement.specifier
    assert f"{major}.{minor - 1}.999" in requirement.specifier
    assert bound.below not in requirement.specifier


def test_every_bounded_distribution_is_required_by_a_package() -> None:
    assert {parameter.values[0].name for parameter in BOUNDED} == set(BOUNDS)


@pytest.mark.parametrize("package", PROJECTS)
def test_a_package_needs_the_python_of_ascend_core(package: str) -> None:
    project = tomllib.loads(PROJECTS[package].read_text())["project"]

    assert project["requires-python"] == f">={'.'.join(map(str, PYTHON_FLOOR))}"


@pytest.mark.parametrize("row", SIMULATED.values(), ids=SIMULATED)
@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_hold_for_a_simulated_row(row: Row, name: str) -> None:
    bound = BOUNDS[name]

    assert getattr(row, name) in SpecifierSet(f">={bound.floor},<{bound.below}")


def test_every_minor_version_of_vllm_within_the_bounds_is_simulated() -> None:
    bound = BOUNDS["vllm"]
    first, below = (int(version.split(".")[1]) for version in (bound.floor, bound.below))

    assert {int(row.vllm.split(".")[1]) for row in SIMULATED.values()} == set(range(first, below))


def test_the_documentation_prints_the_rows() -> None:
    page = (ROOT / "docs" / "getting-started.md").read_text()

    assert support_matrix.table() in page, f"put this table there:\n{support_matrix.table()}"


def test_rows_have_names_of_their_own() -> None:
    content = tomllib.loads((ROOT / "support-matrix.toml").read_text())

    assert len(ROWS) == len(content["row"])


@pytest.mark.parametrize(("status", "reason"), [("planned", ""), ("simulated", "some reason")])
def test_a_planned_row_and_no_other_has_a_reason(status: str, reason: str) -> None:
    row = dict.fromkeys(("name", "python", "torch", "torch_npu", "vllm", "cann"), "1")

    with pytest.raises(ValueError, match="needs a reason"):
        Row(**row, status=status, reason=reason)
