# SPDX-License-Identifier: Apache-2.0
"""Includes point one way: csrc/acl has floors, and the folders of csrc/opapi no cycle."""

import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[2] / "csrc"
ACL, OPAPI = CSRC / "acl", CSRC / "opapi"

# docs/design/runtime.md says what belongs where.
FLOORS = ("base", "observe", "machine", "runtime", "graph", "instruments")


def _includes(folder: str) -> dict[str, set[str]]:
    """The folders of acl that each file of `folder` includes."""
    return {
        source.name: set(re.findall(r'#include "acl/(\w+)/', source.read_text()))
        for source in sorted((ACL / folder).iterdir())
    }


def test_each_folder_of_acl_is_a_floor() -> None:
    assert sorted(path.name for path in ACL.iterdir()) == sorted(FLOORS)


@pytest.mark.parametrize("folder", FLOORS)
def test_a_floor_includes_only_itself_and_what_is_below(folder: str) -> None:
    # given
    allowed = set(FLOORS[: FLOORS.index(folder) + 1])
    # when
    upward = {name: found - allowed for name, found in _includes(folder).items()}
    # then
    assert {name: found for name, found in upward.items() if found} == {}


def test_folders_of_operators_do_not_include_each_other_in_a_cycle() -> None:
    folders: dict[str, set[str]] = {}
    for source in OPAPI.rglob("*.*"):
        folder = source.parent.name
        included = re.findall(r'#include "opapi/(\w+)/', source.read_text())
        folders.setdefault(folder, set()).update(set(included) - {folder})
    order = list(TopologicalSorter(folders).static_order())  # raises CycleError
    assert order.index("base") < order.index("abi") < order.index("nn")
