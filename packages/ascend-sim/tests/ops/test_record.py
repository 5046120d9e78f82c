# SPDX-License-Identifier: Apache-2.0
"""Every operator is launched by a test that looks at its results, and the documentation says so."""

import re

import pytest
from _record import PAGE, TESTS, declared_operators, read_records, render

AGAIN = "run: pytest packages/ascend-sim/tests/SUITE --record-operators"

# Tested by processes that nothing is recorded of: tests/package/test_distributed_experts.py.
BETWEEN_RANKS = [
    "MoeDistributeCombine",
    "MoeDistributeCombineAddRmsNormV2",
    "MoeDistributeCombineV4",
    "MoeDistributeDispatch",
    "MoeDistributeDispatchV4",
]
# Declared, and compared with their call sites, but no test looks at their results yet: torch_npu
# chooses another version or another operator on this chip, or nobody has written one.
UNTESTED = [
    "AdaptiveAvgPool3dBackward",
    "AdaptiveMaxPool3d",
    "AdaptiveMaxPool3dBackward",
    "AddRelu",
    "AngleV2",
    "AvgPool3dBackward",
    "BatchMatMulWeightNz",
    "ConvDepthwise2d",
    "DropoutGenMask",
    "FlashAttentionScoreV2",
    "FlashAttentionVarLenScoreV5",
    "ForeachAddList",
    "ForeachAddScalar",
    "ForeachAddcdivScalar",
    "ForeachAddcdivScalarList",
    "ForeachAddcmulScalar",
    "ForeachAddcmulScalarList",
    "ForeachDivScalar",
    "ForeachMaximumScalar",
    "ForeachMinimumScalar",
    "ForeachMulScalar",
    "ForeachPowScalar",
    "ForeachRoundOffNumber",
    "ForeachSubList",
    "ForeachSubScalar",
    "GeluMul",
    "GridSampler3DBackward",
    "GroupedMatmulFinalizeRoutingV3",
    "GroupedMatmulV4",
    "HardswishBackward",
    "InplaceAddRelu",
    "KlDivTargetBackward",
    "MaxPool2dWithIndices",
    "MaxPool2dWithIndicesBackward",
    "ReflectionPad2dBackward",
    "ReflectionPad3dBackward",
    "ReplicationPad1dBackward",
    "ReplicationPad3dBackward",
    "Slogdet",
    "TopKTopPSample",
    "UpsampleBicubic2dAAGrad",
    "UpsampleBilinear2dAABackward",
    "UpsampleBilinear2dBackward",
    "UpsampleNearest1d",
    "UpsampleNearest2d",
    "WeightQuantBatchMatmulV3",
]


@pytest.fixture(scope="module")
def record():
    return read_records()


def test_every_other_operator_has_a_numeric_test(record):
    without = {f"aclnn{name}" for name in BETWEEN_RANKS + UNTESTED}
    assert declared_operators().keys() - record.keys() == without, f"write a test, then {AGAIN}"


def test_nothing_is_recorded_that_is_not_declared(record):
    assert record.keys() - declared_operators().keys() == set(), AGAIN


def test_the_tests_of_the_record_exist(record):
    for name in {test for entry in record.values() for test in entry["tests"]}:
        file, *_, function = name.split("::")  # a class may stand between
        text = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {function}\(", text, re.MULTILINE), f"{name}: {AGAIN}"


def test_the_page_is_the_one_of_the_record(record):
    assert PAGE.read_text(encoding="utf-8") == render(record), AGAIN
