# SPDX-License-Identifier: Apache-2.0
"""What a test of this suite is: one rule of CANN, with the place where it was read."""

import pytest

__all__ = ["CASES", "rule"]

CASES = frozenset(range(1, 61))
"""The numbered cases that the suite must hold."""

rule = pytest.mark.rule
"""`@rule(WHERE, SOURCE)`: "case 6" or "section 1.2" of the collected facts, and the file or unit
test of CANN's runtime (hicann/runtime) or of torch_npu in which the rule was read."""
