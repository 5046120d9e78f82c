# SPDX-License-Identifier: Apache-2.0
"""The folders of csrc/acl are floors: each includes what is below it, never what is above."""

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[3] / "csrc"
ACL = CSRC / "acl"

# docs/design/runtime.md says what belongs where.
FLOORS = (
    "base",
    "observe",
    "machine",
    "task",
    "runtime",
    "launch",
    "settings",
    "graph",
    "kernels",
    "instruments",
)


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


@pytest.mark.parametrize(
    "folder", sorted(path for path in CSRC.rglob("*") if path.is_dir()), ids=lambda path: path.name
)
def test_a_folder_holds_at_most_twenty_files(folder: Path) -> None:
    assert len([path for path in folder.iterdir() if path.is_file()]) <= 20
