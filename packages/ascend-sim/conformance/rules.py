# SPDX-License-Identifier: Apache-2.0
"""What a test of this suite is: one rule of CANN, with the place where it was read."""

import re

import pytest

__all__ = ["CASES", "cases", "rule"]

CASES = frozenset(range(1, 61))
"""The numbered cases that the suite must hold."""

rule = pytest.mark.rule
"""`@rule(WHERE, SOURCE)`: "case 6", "cases 52, 53" or "section 1.2" of docs/runtime-rules.md, and
the file or unit test of CANN's runtime (hicann/runtime) or of torch_npu in which it was read."""


def cases(where: str) -> list[int]:
    """Return the numbers of the cases that a rule's place names; none for a section."""
    return [int(n) for n in re.findall(r"\d+", where)] if where.startswith("case") else []
