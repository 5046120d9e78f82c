# SPDX-License-Identifier: Apache-2.0
"""Every operator is launched by a test that looks at its results, and the documentation says so."""

import re

import pytest
from operators_page import TESTS, read_records, render
from support.aclnn import declared_operators

AGAIN = "run: pytest packages/ascend-sim/tests/SUITE --record-operators"

# Tested by processes that nothing is recorded of: tests/package/distributed/test_distributed_*.py.
BETWEEN_RANKS = [
    "AllGatherMatmul",
    "MatmulAllReduce",
    "MatmulAllReduceV2",
    "MatmulReduceScatter",
    "MoeDistributeCombine",
    "MoeDistributeCombineAddRmsNormV2",
    "MoeDistributeCombineV4",
    "MoeDistributeDispatch",
    "MoeDistributeDispatchV4",
]


@pytest.fixture(scope="module")
def record():
    return read_records()


def test_every_other_operator_has_a_numeric_test(record):
    without = {f"aclnn{name}" for name in BETWEEN_RANKS}
    assert declared_operators().keys() - record.keys() == without, f"write a test, then {AGAIN}"


def test_nothing_is_recorded_that_is_not_declared(record):
    assert record.keys() - declared_operators().keys() == set(), AGAIN


def test_the_tests_of_the_record_exist(record):
    for name in {test for entry in record.values() for test in entry["tests"]}:
        file, *_, function = name.split("::")  # a class may stand between
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {function}\(", text, re.MULTILINE), f"{name}: {AGAIN}"


def test_the_page_has_a_row_for_every_operator(record):
    rows = [line.split(" | ") for line in render(record).splitlines() if line.startswith("| ")][1:]
    dtypes = {row[0].removeprefix("| "): row[2] for row in rows}
    expected = {name.removeprefix("aclnn"): entry["dtypes"] for name, entry in record.items()}
    assert dtypes == {name: ", ".join(each) for name, each in expected.items()}
